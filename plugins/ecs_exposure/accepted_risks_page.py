"""The accepted risks of an assessed day for the reader: what each is in force for, and which want attention."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import IO, Any

from ecs_exposure.exposures import connect_to_day
from ecs_exposure.history import fetch
from ecs_exposure.lake import Lake
from ecs_exposure.output import clean, console
from ecs_exposure.schemas.results import RESULTS
from ecs_exposure.settings import PREFIX

COLUMNS = (*RESULTS["accepted_risk"].column_names, "what_to_do")
"""Of a row: those of the table `accepted_risk`, and what to do about it in words; NULL when nothing."""

_ROWS = """
select
    *,
    case
        when state = 'expired' then 'expired: take it out, or decide again'
        when state = 'in_force' and last_matched_date is null
            then 'never matched a service with this trait: correct it, or take it out'
        when state = 'in_force' and services = 0
            then 'matches nothing since ' || last_matched_date || ': take it out once what it was for is gone'
        when state = 'in_force' and accepted_exposures = 0
            then 'no exposure is accepted by it: others of its traits count too (explain says which)'
    end as what_to_do
from today.accepted_risk
order by
    list_position(['expired', 'in_force', 'not_yet'], state), expiry_date, account, service, trait, accepted_date"""

_STATES = {"in_force": "in force", "expired": "expired", "not_yet": "not yet in force"}


def accepted_risk_rows(lake: Lake, day: date) -> list[dict[str, Any]]:
    """Rows of COLUMNS of one assessed day: expired ones first, then those that end soonest."""
    with connect_to_day(lake, day, ["accepted_risk"]) as connection:
        return fetch(connection, _ROWS).records()


def print_accepted_risks(rows: Sequence[Mapping[str, Any]], day: date, out: IO[str]) -> None:
    """The entries as a table that reads well from 100 columns on; every cell is literal text."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    screen = console(out)
    if not rows:
        screen.print(f"No accepted risk on {day}: {PREFIX}ACCEPTED_RISKS_FILE named none when the day was assessed.")
        return
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, expand=False)
    table.add_column("State", overflow="fold", min_width=10)
    table.add_column("Account, service, trait", overflow="fold", ratio=1, min_width=24)
    table.add_column("Services", justify="right", no_wrap=True)
    table.add_column("Accepted", justify="right", no_wrap=True)
    table.add_column("Reason, owner", overflow="fold", ratio=1, min_width=30)
    for row in rows:
        state = Text.assemble(
            (_STATES[row["state"]], "yellow" if row["what_to_do"] else ""), "\n", (f"until {row['expiry_date']}", "dim")
        )
        scope = Text.assemble((clean(row["service"]), "bold"), "\n", clean(f"{row['account']} {row['trait']}"))
        why = Text.assemble(clean(row["reason"]), "\n", (clean(row["owner"]), "dim"))
        if row["what_to_do"]:
            why.append(f"\n{clean(row['what_to_do'])}", style="yellow")
        table.add_row(state, scope, str(row["services"]), str(row["accepted_exposures"]), why)
    screen.print(table)
    screen.print(
        f"\n{len(rows)} accepted risk{'' if len(rows) == 1 else 's'} on {day}. Services: those it names that have the "
        "trait. Accepted: those of which all that counts is accepted.",
        style="dim",
    )
