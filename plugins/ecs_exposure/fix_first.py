"""The plan of a day for the reader: what to fix first, of everything or of what some owner, unit or account has.

Known weakness: the plan takes changes one by one. Two that help only together (two open groups of one service) have no
effect alone, so neither is chosen for it: they rank as soon as one of them is chosen for what it does elsewhere, and
where that never happens they are left out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import IO, Any

import duckdb
import pyarrow as pa

from ecs_exposure.databases import attach_reference
from ecs_exposure.exposures import Filter, condition, connect_to_day
from ecs_exposure.fix_plan import GREEDY, PLANNED, fix_plan
from ecs_exposure.history import NoDataError
from ecs_exposure.lake import Lake
from ecs_exposure.output import clean, console
from ecs_exposure.schemas.results import RESULTS

COLUMNS = (
    *RESULTS["fix_plan"].column_names, "account_name", "upgrade_packages", "upgrade_fixed_in_versions",
    "upgrade_commands", "upgrade_score_removed",
)  # fmt: skip
"""Of a row: those of the table `fix_plan`, the name of the account of what is changed, and of an image's repository the
single upgrade that takes most score off (NULL where none takes any), as Amazon Inspector names it.
"""

_TABLES = ("exposure", "remediation", "remediation_outcome", "fix_plan", "fix", "service_image")

# A digest in two repositories has one row in `fix`, and the same packages: either repository may be told of it.
_UPGRADES = """
with touched as (
    select distinct remediation.remediation_id, remediation.resource_id, image.image_digest
    from today.remediation as remediation
    join planned using (resource_id)
    join today.service_image as image
        on image.resource_id = remediation.resource_id and image.repository_name = remediation.name
        and image.registry_account = remediation.remediation_account_id
        and image.registry_region = remediation.remediation_region
    where remediation.kind = 'image' and list_contains($shown, remediation.remediation_id)
),
upgrade as (
    select
        touched.remediation_id, fix.packages, sum(fix.score_before - fix.score_after) as score_removed,
        list_sort(list_distinct(flatten(list(fix.fixed_in_versions)))) as fixed_in_versions,
        list_sort(list_distinct(flatten(list(fix.fix_commands)))) as commands
    from today.fix as fix
    join touched
        on touched.resource_id = fix.resource_id and touched.image_digest = regexp_extract(fix.removed, '[^@]*$')
    where fix.removed_kind = 'package' and fix.score_after < fix.score_before
    group by touched.remediation_id, fix.packages
)
select remediation_id, packages, fixed_in_versions, commands, score_removed
from upgrade
qualify row_number() over (partition by remediation_id order by round(score_removed, 6) desc, packages) = 1"""

# What is left once all the changes shown are made: told by the outcome of each service's whole set of them.
_DONE = """
with made as (
    select remediation.resource_id, bit_or(1 << remediation.position)::integer as changes
    from today.remediation as remediation
    join planned using (resource_id)
    where list_contains($shown, remediation.remediation_id)
    group by remediation.resource_id
)
select
    count(*) filter (where planned.severity = 'CRITICAL') as critical,
    count(*) filter (where planned.severity = 'HIGH') as high,
    count(*) filter (where planned.severity = 'CRITICAL' and outcome.severity <> 'CRITICAL') as critical_gone,
    count(*) filter (where planned.severity = 'CRITICAL' and outcome.severity = 'HIGH') as critical_to_high,
    count(*) filter (where planned.severity = 'HIGH' and outcome.severity <> 'HIGH') as high_gone
from planned
left join made on made.resource_id = planned.resource_id
left join today.remediation_outcome as outcome
    on outcome.resource_id = made.resource_id and outcome.changes = made.changes"""


@dataclass(frozen=True)
class FixFirst:
    """Changes of a day in the order of the plan (rows of COLUMNS), the first `shown` told, how many there are in all,
    and how many open exposures match, without the `accepted` ones, which no plan counts; `critical` and `high` of them
    now, and how many of those the shown changes lower.
    """

    day: date
    shown: list[dict[str, Any]]
    changes: int
    exposures: int
    accepted: int
    critical: int
    high: int
    critical_gone: int
    critical_to_high: int
    high_gone: int


def fix_first(lake: Lake, day: date, wanted: Filter, sql: Path, limit: int | None = None) -> FixFirst:
    """The plan over the open exposures that match: the stored one for all, for some worked out of the stored outcomes.

    Raises NoDataError for a day with open exposures that was assessed before plans were kept.
    """
    where, values = condition(wanted)
    with connect_to_day(lake, day, _TABLES) as connection:
        connection.execute(
            f"""create temp table planned as
            select resource_id, severity, account_id, account_name from today.exposure
            where {PLANNED} and ({where})""",
            values or None,
        )
        ((exposures,),) = connection.execute("select count(*) from planned").fetchall()
        ((accepted,),) = connection.execute(
            f"select count(*) from today.exposure where accepted_until is not null and ({where})", values or None
        ).fetchall()
        if exposures and "remediation" not in lake.day(day).files:
            raise NoDataError(
                f"no plan is stored of {day}: it was assessed by a release without plans, or nothing a team can change "
                f"touches an exposure. `ecs-exposure assess --date {day}` computes it where the snapshot is kept"
            )
        if wanted == Filter():
            plan = connection.sql("select * from today.fix_plan order by rank").to_arrow_table()
        else:
            plan = _plan(connection, sql, where, values)
        # `planned` of the plan holds the same exposures, with other columns.
        shown = [{**row, "snapshot_date": day} for row in plan.slice(0, limit).to_pylist()]
        told = {"shown": [row["remediation_id"] for row in shown]}
        upgrades = {row[0]: row[1:] for row in connection.execute(_UPGRADES, told).fetchall()}
        names = dict(
            connection.execute("select account_id, any_value(account_name) from today.exposure group by 1").fetchall()
        )
        ((critical, high, critical_gone, critical_to_high, high_gone),) = connection.execute(_DONE, told).fetchall()
    for row in shown:
        upgrade = upgrades.get(row["remediation_id"], (None,) * 4)
        row |= {"account_name": names.get(row["remediation_account_id"])} | dict(
            zip(COLUMNS[-4:], upgrade, strict=True)
        )
    return FixFirst(
        day, shown, plan.num_rows, exposures, accepted, critical, high, critical_gone, critical_to_high, high_gone
    )


def _plan(connection: duckdb.DuckDBPyConnection, sql: Path, where: str, values: Mapping[str, Any]) -> pa.Table:
    attach_reference(connection, sql)
    weights = dict(connection.execute("select severity, weight from reference.severity").fetchall())
    return fix_plan(connection, "today", weights, where, values)


def print_fix_first(told: FixFirst, out: IO[str]) -> None:
    """The changes as a table that reads well from 100 columns on, and what they come to."""
    screen = console(out)
    if not told.exposures:
        screen.print(f"No open exposure matches on {told.day}: nothing to fix.")
        _print_accepted(told, screen)
        return
    if told.shown:
        screen.print(_table(told.shown))
        screen.print()
    screen.print(_sentence(told))
    if told.shown:
        beyond = f"; past {GREEDY}, after the first {GREEDY}" if len(told.shown) > GREEDY else ""
        screen.print(f"Each rank counts what is left after those above it{beyond}.", style="dim")
    if (more := told.changes - len(told.shown)) > 0:
        screen.print(f"{more:,} more lower something (--limit).", style="dim")
    _print_accepted(told, screen)


def _print_accepted(told: FixFirst, screen: Any) -> None:
    if told.accepted:
        many = "1 accepted exposure is" if told.accepted == 1 else f"{told.accepted:,} accepted exposures are"
        screen.print(f"{many} left out (`ecs-exposure show --accepted`).", style="dim")


def _table(rows: Sequence[Mapping[str, Any]]) -> Any:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, expand=False)
    table.add_column("#", justify="right", no_wrap=True)
    table.add_column("Change", overflow="fold", ratio=1, min_width=40)
    for heading in ("Services", "CRITICAL", "HIGH", "Score"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        place = row["account_name"] or row["remediation_account_id"]
        if row["remediation_region"] != "global":
            place += f" {row['remediation_region']}"
        change = Text.assemble(clean(row["description"]), "\n", (clean(f"{_some(row['owners'])} · {place}"), "dim"))
        if upgrade := _upgrade(row):
            change.append(f"\n{clean(upgrade)}", style="dim")
        figures = (len(row["resource_ids"]), -row["critical_removed"], -row["high_removed"], -row["score_removed"])
        table.add_row(str(row["rank"]), change, *(f"{figure:,.0f}" if figure else "–" for figure in figures))
    return table


def _some(owners: Sequence[str]) -> str:
    more = f" and {len(owners) - 2} more" if len(owners) > 2 else ""
    return ", ".join(owners[:2]) + more if owners else "no owner"


def _upgrade(row: Mapping[str, Any]) -> str | None:
    """The single upgrade that helps most, in one sentence."""
    packages = row["upgrade_packages"]
    if not packages:
        return None
    versions, commands = row["upgrade_fixed_in_versions"], row["upgrade_commands"]
    named = ", ".join(packages[:3]) + (f" and {len(packages) - 3} more" if len(packages) > 3 else "")
    if not versions:
        return f"Best upgrade: {named}, but Amazon Inspector names no fixed version: remove or replace it"
    to = versions[0] if len(versions) == 1 else "the highest of " + ", ".join(versions)
    return f"Best upgrade: {named} to {to}" + (f" ({commands[0]})" if commands else "")


def _sentence(told: FixFirst) -> str:
    if not told.shown:
        return f"No change that a team can make lowers any of the {told.exposures:,} open exposures on {told.day}."
    many = f"These {len(told.shown):,} changes take" if len(told.shown) > 1 else "This change takes"
    became = f" ({told.critical_to_high:,} of them to HIGH)" if told.critical_to_high else ""
    return (
        f"{many} {told.critical_gone:,} of {told.critical:,} CRITICAL{became} and "
        f"{told.high_gone:,} of {told.high:,} HIGH exposures away, of {told.exposures:,} open on {told.day}."
    )
