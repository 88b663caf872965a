"""The exposures of one assessed day: filtered, or the one a person means."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import IO, Any

import duckdb

from ecs_exposure.databases import connect
from ecs_exposure.history import NoDataError, QueryError, fetch
from ecs_exposure.lake import Lake
from ecs_exposure.output import clean, console
from ecs_exposure.schemas.results import SEVERITIES

OPEN = SEVERITIES[:-1]
"""Severities of open exposures, that is, of published ones."""

WORST_FIRST = f"list_position({list(SEVERITIES)}, severity), score desc, resource_id"
"""ORDER BY of `exposure`: severity, then score inside it, then the ARN so that the order is always the same."""

STYLES = {
    "CRITICAL": "bold white on red", "HIGH": "bold red", "MEDIUM": "yellow", "LOW": "cyan", "INFORMATIONAL": "dim",
}  # fmt: skip
REACHED = {
    "DIRECT": "directly", "VIA_LOAD_BALANCER": "balancer", "NOT_REACHABLE": "no", "UNKNOWN": "unknown",
}  # fmt: skip
LEGEND = {
    "≥": "≥ at least: something was not seen or not known",
    "↺": "↺ not seen today: carried over from the last day it was seen",
    "✓": "✓ accepted until the day named; its severity stays (`ecs-exposure accepted-risks`)",
}

_SHORT_ARN = re.compile(
    r"arn:[a-z-]+:ecs:(?P<region>[a-z0-9-]+):(?P<account_id>\d{12}):service/(?P<service_name>[^/]+)"
)


@dataclass(frozen=True)
class Filter:
    """Which exposures to show; an empty collection filters nothing. `ou` takes the unit itself and those below it.

    `is_accepted` takes only those that are accepted that day (True) or only the others (False).
    """

    severities: Collection[str] = OPEN
    accounts: Collection[str] = ()
    owners: Collection[str] = ()
    ous: Collection[str] = ()
    traits: Collection[str] = ()
    is_accepted: bool | None = None


def connect_to_day(lake: Lake, day: date, tables: Collection[str], schema: str = "today") -> duckdb.DuckDBPyConnection:
    """A connection with `today.<table>` for some result tables of one assessed day."""
    connection = connect()
    lake.attach_results(connection, day, schema, tables=tables)
    return connection


def exposures(lake: Lake, day: date, wanted: Filter, *, limit: int | None = None) -> list[dict[str, Any]]:
    """Rows of `exposure` of one day that match, worst first: all, or the first so many."""
    where, values = condition(wanted)
    connection = connect_to_day(lake, day, ["exposure"])
    select = f"from today.exposure where {where} order by {WORST_FIRST}" + (f" limit {limit}" if limit else "")
    return fetch(connection, select, values or None).records()


def severity_counts(lake: Lake, day: date, wanted: Filter) -> dict[str, int]:
    """How many exposures of one day match, by severity, the worst first; none of which there is none."""
    where, values = condition(wanted)
    connection = connect_to_day(lake, day, ["exposure"])
    select = f"select severity, count(*) from today.exposure where {where} group by severity"
    counts = {str(severity): int(count) for severity, count in fetch(connection, select, values or None).rows}
    return {severity: counts[severity] for severity in SEVERITIES if severity in counts}


def condition(wanted: Filter) -> tuple[str, dict[str, list[str]]]:
    """A condition on columns of `exposure` with its named parameters; accounts match by id or name, traits when any is
    hit.
    """
    conditions: list[str] = []
    values: dict[str, list[str]] = {}
    for name, chosen, text in (
        ("severities", wanted.severities, "list_contains($severities, severity)"),
        (
            "accounts",
            wanted.accounts,
            "(list_contains($accounts, account_id) or list_contains($accounts, account_name))",
        ),
        ("owners", wanted.owners, "list_contains($owners, owner)"),
        (
            "ous",
            [ou.rstrip("/") for ou in wanted.ous],
            "len(list_filter($ous, lambda ou: starts_with(ou_path || '/', ou || '/'))) > 0",
        ),
        ("traits", wanted.traits, "list_has_any($traits, traits)"),
    ):
        if chosen:
            conditions.append(text)
            values[name] = sorted(chosen)
    if wanted.is_accepted is not None:
        conditions.append(f"accepted_until is {'not ' if wanted.is_accepted else ''}null")
    return " and ".join(conditions) or "true", values


def not_seen(lake: Lake, day: date) -> list[str]:
    """Accounts that were not completely seen on one day: what they have is in part unknown."""
    connection = connect_to_day(lake, day, ["coverage"])
    blind = "status in ('denied', 'failed', 'invalid')"
    select = f"select distinct account_id from today.coverage where {blind} order by account_id"
    return [str(row[0]) for row in fetch(connection, select).rows]


def find(lake: Lake, day: date, text: str) -> dict[str, Any]:
    """The exposure of the service a person means by its ARN (long or old short form), its name, or a part of the ARN.

    Raises QueryError naming the candidates when several services match, NoDataError when none has an exposure that day.
    """
    connection = connect_to_day(lake, day, ["exposure", "lifecycle"])
    everything = "select * from today.exposure where "
    attempts: list[tuple[str, Mapping[str, Any]]] = [("resource_id = $text", {"text": text})]
    if short := _SHORT_ARN.fullmatch(text):
        attempts.append(
            ("region = $region and account_id = $account_id and service_name = $service_name", short.groupdict())
        )
    attempts.append(("service_name = $text", {"text": text}))
    attempts.append(("contains(lower(resource_id), lower($text))", {"text": text}))
    for condition, values in attempts:
        rows = fetch(connection, f"{everything}{condition} order by {WORST_FIRST}", values).records()
        if len(rows) == 1:
            return rows[0]
        if rows:
            listed = "\n".join(f"  {clean(row['resource_id'])}" for row in rows[:20])
            more = f"\n  … and {len(rows) - 20:,} more" if len(rows) > 20 else ""
            raise QueryError(f"{len(rows):,} services match {clean(text)!r}; name one of them:\n{listed}{more}")
    past = fetch(
        connection,
        """select resource_id, last_observed_date from today.lifecycle
        where contains(lower(resource_id), lower(?)) order by resource_id limit 5""",
        [text],
    ).rows
    told = "; ".join(f"{clean(resource)} had one until {last}" for resource, last in past)
    raise NoDataError(f"no service matching {clean(text)!r} has an exposure on {day}" + (f" ({told})" if told else ""))


def marks(row: Mapping[str, Any]) -> str:
    """The signs of LEGEND that apply to an exposure."""
    return (
        ("≥" if row["is_minimum"] else "") + ("↺" if row["is_carried"] else "") + ("✓" if row["accepted_until"] else "")
    )


def severity_text(row: Mapping[str, Any]) -> Any:
    """Severity in its colour, with its marks around it."""
    from rich.text import Text

    text = Text("≥ " if row["is_minimum"] else "")
    text.append(row["severity"], style=STYLES[row["severity"]])
    for sign in marks(row).removeprefix("≥"):
        text.append(f" {sign}")
    return text


def due_text(row: Mapping[str, Any], day: date) -> Any:
    """Due date, red once it has passed; of an exposure that is accepted, until when."""
    from rich.text import Text

    if row["accepted_until"]:
        return Text(f"accepted until {row['accepted_until']}")
    if row["due_date"] is None:
        return Text("–")
    return Text(str(row["due_date"]), style="red" if row["due_date"] < day else "")


def exposure_table(rows: Sequence[Mapping[str, Any]], day: date) -> Any:
    """Exposures as a rich table that reads well from 100 columns on; every cell is literal text."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, expand=False)
    table.add_column("Severity", no_wrap=True)
    table.add_column("Service", overflow="fold", ratio=1, min_width=24)
    table.add_column("Traits", overflow="fold", ratio=1, min_width=30)
    table.add_column("Reached", no_wrap=True)
    table.add_column("Owner, due", overflow="fold", min_width=10)
    for row in rows:
        place = f"{row['account_name'] or row['account_id']} {row['region']} {row['cluster_name']}"
        service = Text.assemble((clean(row["service_name"]), "bold"), "\n", (clean(place), "dim"))
        own = row["own_traits"] or ()  # NULL on days assessed before the column was there
        paths = [trait for trait in row["traits"] if is_impact_path(trait)]
        traits = Text(", ".join(clean(trait) for trait in row["traits"] if trait not in own and trait not in paths))
        for names, noun, style in ((paths, "Impact paths", ""), (own, "own traits", "dim")):
            if names:
                traits.append((", " if traits else "") + some(names, 1, noun), style=style)
        if row["unknown_traits"]:
            unknown = ("\n" if row["traits"] else "") + "unknown: " + some(row["unknown_traits"], 2, "traits")
            traits.append(unknown, style="dim italic")
        owner = Text.assemble(clean(row["owner"] or "no owner"), "\n", due_text(row, day))
        table.add_row(severity_text(row), service, traits, REACHED[row["reachability"]], owner)
    return table


def is_impact_path(trait: str) -> bool:
    """AWS names its Impact traits so; a role has many at once, and `explain` shows each."""
    return trait.startswith("has_") and trait.endswith("_path")


def some(names: Sequence[str], most: int, noun: str) -> str:
    """The names when they are few, else only how many of what."""
    return ", ".join(map(clean, names)) if len(names) <= most else f"{len(names)} {noun}"


def legend(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Explanations of the marks that occur."""
    used = {sign for row in rows for sign in marks(row)}
    return [text for sign, text in LEGEND.items() if sign in used]


def print_exposures(rows: Sequence[Mapping[str, Any]], total: int, day: date, out: IO[str]) -> None:
    """Exposures as a table, with how many there are beyond those shown."""
    screen = console(out)
    if rows:
        screen.print(exposure_table(rows, day))
    beyond = f", {len(rows):,} shown" if total > len(rows) else ""
    screen.print(
        f"\n{total:,} exposure{'' if total == 1 else 's'} on {day}{beyond}", *legend(rows), sep="\n", style="dim"
    )
