"""What a service's severity would be without some of its traits, or with some of its images clean.

The day's stored snapshot is put before the same models as at night, held to the services asked about, with one more
scenario (`run.what_if`). Nothing is written to the lake.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import IO, Any

from ecs_exposure import models
from ecs_exposure.assessing import database, rules_version
from ecs_exposure.exposures import STYLES, WORST_FIRST, connect_to_day, find
from ecs_exposure.history import NoDataError, QueryError, fetch
from ecs_exposure.lake import Lake
from ecs_exposure.output import clean, console
from ecs_exposure.settings import Settings

COLUMNS = (
    "resource_id", "account_id", "account_name", "region", "cluster_name", "service_name", "owner",
    "severity", "score", "reachability", "severity_without", "score_without", "reachability_without",
    "removed_traits", "clean_digests", "is_kept", "stored_severity",
)  # fmt: skip
"""Of a row: the service, what it is and what it would be, the traits of it that go (with those that go along) and
the images of it that are clean, whether it is kept because it was not completely seen, and its severity in the day's
stored results, by the rules of then.
"""

_OUTCOME = """
select
    exposure.resource_id, exposure.account_id, exposure.account_name, exposure.region, exposure.cluster_name,
    exposure.service_name, exposure.owner, exposure.severity, exposure.score, exposure.reachability,
    case when as_is.severity <> exposure.severity then exposure.severity else then_.severity end as severity_without,
    case when as_is.severity <> exposure.severity then exposure.score else then_.score end as score_without,
    case when as_is.severity <> exposure.severity then exposure.reachability else reached.reachability end
        as reachability_without,
    list_sort(list_filter(exposure.traits, lambda trait: list_contains(gone.removed_traits, trait))) as removed_traits,
    as_is.severity <> exposure.severity as is_kept
from exposures.exposure as exposure
join exposures.scenario as as_is on as_is.resource_id = exposure.resource_id and as_is.removed_kind = 'as_is'
join exposures.scenario as then_ on then_.resource_id = exposure.resource_id and then_.removed_kind = 'what_if'
join exposures.service_situation as situation on situation.resource_id = exposure.resource_id
left join exposures.service_image_set as images on images.resource_id = exposure.resource_id
join exposures.single_removal as removal
    on removal.situation_id = situation.situation_id and removal.image_set_id is not distinct from images.image_set_id
    and removal.removed_kind = 'what_if'
join exposures.trait_scenario as gone
    on gone.situation_id = removal.situation_id and gone.without = removal.without
join exposures.reachability as reached
    on reached.situation_id = removal.situation_id and reached.without = removal.without"""


@dataclass(frozen=True)
class WhatIf:
    """Rows of COLUMNS, worst first, for one day: what was asked, in traits and in whole digests."""

    day: date
    traits: list[str]
    clean_digests: list[str]
    services: list[dict[str, Any]]


def what_if(
    settings: Settings,
    lake: Lake,
    day: date,
    *,
    service: str | None = None,
    traits: Sequence[str] = (),
    images: Sequence[str] = (),
) -> WhatIf:
    """What `service` (as `explain` takes it) would be without `traits` and with `images` (`DIGEST=clean`, DIGEST the
    beginning of one digest it runs) clean; without a service, every one that runs the images.

    Raises QueryError for what the service has not, NoDataError for a day without its snapshot.
    """
    if not traits and not images:
        raise QueryError("say what would be gone: --without TRAIT or --image DIGEST=clean")
    if service is None and traits:
        raise QueryError("--without takes a trait from one service: say which with --service")
    if day not in (kept := lake.snapshot_days()):
        known = f"; there is one of {', '.join(map(str, kept[-3:]))}: --date" if kept else ""
        raise NoDataError(
            f"no snapshot is kept of {day}, so nothing can be worked out again for it{known}. "
            "`ecs-exposure scan` makes one of today"
        )
    exposure = find(lake, day, service) if service is not None else None
    if exposure is not None:
        _check_traits(exposure, traits)
    running = _running(lake, day, exposure["resource_id"] if exposure else None)
    digests = sorted({_digest(text, running, service) for text in images})
    names = [exposure["resource_id"]] if exposure else sorted({name for item in digests for name in running[item]})
    stored = _severities(lake, day, names)
    with database(settings, lake, day, rules_version(settings), services=names) as connection:
        connection.execute("insert into run.what_if values (?, ?)", [sorted(set(traits)), digests])
        models.build(connection, settings.sql)
        rows = fetch(connection, f"from ({_OUTCOME}) order by {WORST_FIRST}").records()
    for row in rows:
        row["clean_digests"] = [item for item in digests if row["resource_id"] in running[item]]
        row["stored_severity"] = stored.get(row["resource_id"])
    return WhatIf(day, sorted(set(traits)), digests, rows)


def _check_traits(exposure: Mapping[str, Any], traits: Sequence[str]) -> None:
    if missing := [trait for trait in traits if trait not in exposure["traits"]]:
        has = ", ".join(exposure["traits"]) or "none"
        raise QueryError(
            f"{clean(exposure['service_name'])} has no trait {', '.join(map(clean, missing))}; it has: {has}"
        )


def _running(lake: Lake, day: date, resource_id: str | None) -> dict[str, list[str]]:
    """The services of each digest that counts as running: those of one service, or of all with an exposure."""
    connection = connect_to_day(lake, day, ["service_image", "exposure"])
    rows = connection.execute(
        """select image_digest, list(distinct resource_id)
        from today.service_image semi join today.exposure using (resource_id)
        where image_digest is not null and ($service is null or resource_id = $service)
        group by image_digest order by image_digest""",
        {"service": resource_id},
    )
    return dict(rows.fetchall())


def _digest(text: str, running: Mapping[str, Sequence[str]], service: str | None) -> str:
    wanted, _, state = text.partition("=")
    if state != "clean" or not wanted:
        raise QueryError(f"--image takes DIGEST=clean, not {clean(text)!r}")
    found = [item for item in running if item.startswith((wanted, f"sha256:{wanted}"))]
    if len(found) == 1:
        return found[0]
    who = "the service" if service else "any service with an exposure"
    listed = "\n".join(f"  {clean(item)}" for item in (found or sorted(running))[:20])
    if found:
        raise QueryError(f"{len(found)} digests begin with {clean(wanted)}; name one of them:\n{listed}")
    there = f"there are:\n{listed}" if running else "it runs no image whose digest is known"
    raise QueryError(f"no image that {who} runs begins with {clean(wanted)}; {there}")


def _severities(lake: Lake, day: date, services: Sequence[str]) -> dict[str, str]:
    connection = connect_to_day(lake, day, ["exposure"])
    select = "select resource_id, severity from today.exposure where list_contains(?, resource_id)"
    return dict(connection.execute(select, [list(services)]).fetchall())


def print_what_if(told: WhatIf, out: IO[str]) -> None:
    """For each service what it is, what it would be, and what goes."""
    from rich.padding import Padding
    from rich.text import Text

    screen = console(out)
    if not told.services:
        screen.print(f"No service with an exposure on {told.day} is asked about.")
    for number, row in enumerate(told.services):
        place = f"{row['account_name'] or row['account_id']} {row['region']} {row['cluster_name']}"
        screen.print(
            Text.assemble("\n" if number else "", (clean(row["service_name"]), "bold"), "  ", (clean(place), "dim"))
        )
        for name, suffix in (("now", ""), ("then", "_without")):
            severity, reached = row[f"severity{suffix}"], row[f"reachability{suffix}"]
            line = Text(f"  {name:<5}").append(f"{severity:<14}", style=STYLES[severity])
            screen.print(line.append(f"score {row[f'score{suffix}']:<8.4g}{reached}"))
        for note in _notes(row):
            screen.print(Padding(Text(note, style="dim"), (0, 0, 0, 2)))


def _notes(row: Mapping[str, Any]) -> list[str]:
    notes = []
    if row["clean_digests"]:
        notes.append("clean: " + ", ".join(clean(item[:19]) for item in row["clean_digests"]))
    if row["removed_traits"]:
        notes.append("gone: " + ", ".join(map(clean, row["removed_traits"])))
    if row["is_kept"]:
        notes.append("still kept because not completely seen: until it is, nothing lowers it")
    if row["stored_severity"] not in (None, row["severity"]):
        notes.append(f"that night's rules called it {row['stored_severity']}; now is by the present rules")
    return notes
