"""An owner's weekly message: which of its exposures are new, which are overdue, and which were fixed.

Read from stored results alone. What was carried over, not seen on the day, is listed apart; the accounts of an owner
that were not completely seen are named, and so are the days of the period that nobody assessed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

import duckdb

from ecs_exposure.databases import connect
from ecs_exposure.exposures import not_seen
from ecs_exposure.history import Rows, fetch
from ecs_exposure.lake import Lake
from ecs_exposure.schemas.results import SEVERITIES

Row = dict[str, Any]

COLUMNS = (
    "owner", "section", "change", "cause", "changed_date", "severity_before", "severity", "is_minimum", "score",
    "driver", "account_id", "account_name", "region", "cluster_name", "service_name", "resource_id",
    "first_observed_date", "due_date", "accepted_until", "days_overdue", "fix", "severity_after_fix",
    "is_carried", "observed_date", "finding_id",
)  # fmt: skip
"""Of a row: `change` is `opened`, `worsened` or `resolved`, NULL when it is only overdue; `cause` and `changed_date`
are its cause and day. `severity_before` is that before the period where it worsened, and the last one of a resolved
exposure, whose `severity` is NULL. `days_overdue` counts on the day, of a resolved one on the day it was resolved, and
is NULL when it was in time. `fix` is the best single one.
"""

SECTIONS = ("new", "new_carried", "overdue", "overdue_carried", "fixed")
"""In this order; the carried ones were not seen on the day."""

OVERDUE = "due_date < snapshot_date and accepted_until is null"
"""Which open exposures are overdue: a condition on columns of `exposure`. An accepted risk has its own day."""

_OPEN = "severity <> 'INFORMATIONAL'"

# One row per open exposure of the day, and what happened to it within the period.
_NEW_AND_OVERDUE = f"""
with moved as (
    select
        resource_id,
        max(snapshot_date) filter (where change = 'opened') as opened_date,
        arg_max(cause, snapshot_date) filter (where change = 'opened') as opened_cause,
        max(snapshot_date) filter (where change = 'worsened') as worsened_date,
        -- The estate's part is the news, whatever our rules added to it.
        min(cause) filter (where change = 'worsened') as worsened_cause,
        arg_min(severity_before, snapshot_date) as severity_before
    from history.change
    where snapshot_date between $since and $day
    group by resource_id
),
told as (
    select
        exposure.*,
        {OVERDUE} as is_overdue,
        case
            when moved.opened_date is not null then {{
                'change': 'opened', 'cause': moved.opened_cause, 'date': moved.opened_date, 'severity_before': null
            }}
            -- Worse than before the period: what rose and fell back is no news.
            when moved.worsened_date is not null and list_position($severities, exposure.severity)
                < list_position($severities, moved.severity_before)
            then {{
                'change': 'worsened', 'cause': moved.worsened_cause, 'date': moved.worsened_date,
                'severity_before': moved.severity_before
            }}
        end as news
    from today.exposure as exposure
    left join moved on moved.resource_id = exposure.resource_id
    where {_OPEN} and ($owners is null or list_contains($owners, owner))
),
listed as (
    select *, unnest(list_filter(
        [case when news is not null then 'new' end, case when is_overdue then 'overdue' end],
        lambda name: name is not null
    )) as section
    from told
),
ranked as (
    select
        *,
        count(*) over (partition by owner, section, is_carried) as total,
        row_number() over (
            partition by owner, section, is_carried
            order by list_position($severities, severity), score desc, resource_id
        ) as rank
    from listed
    qualify $limit is null or rank <= $limit
)
select
    ranked.owner, ranked.section,
    ranked.news.change, ranked.news.cause, ranked.news.date as changed_date, ranked.news.severity_before,
    ranked.severity, ranked.is_minimum, ranked.score, ranked.driver,
    ranked.account_id, ranked.account_name, ranked.region, ranked.cluster_name, ranked.service_name, ranked.resource_id,
    ranked.first_observed_date, ranked.due_date, ranked.accepted_until,
    case when ranked.is_overdue then date_diff('day', ranked.due_date, ranked.snapshot_date) end as days_overdue,
    fix.description as fix, fix.severity_after as severity_after_fix,
    ranked.is_carried, ranked.observed_date, finding.finding_id, ranked.total
from ranked
left join (select * from today.fix where rank = 1) as fix on fix.resource_id = ranked.resource_id
left join today.finding as finding on finding.resource_id = ranked.resource_id
order by ranked.owner nulls last, ranked.section, ranked.is_carried, ranked.rank"""

# One row per exposure resolved within the period and not open on the day, as it was on the assessed day before.
_FIXED = f"""
with resolved as (
    select change.*, assessed.previous_date
    from history.change as change
    join (
        select day, lag(day) over (order by day) as previous_date from (select unnest($days) as day)
    ) as assessed on assessed.day = change.snapshot_date
    where change.change = 'resolved' and change.snapshot_date between $since and $day
        and ($owners is null or list_contains($owners, change.owner))
        and change.resource_id not in (select resource_id from today.exposure where {_OPEN})
    qualify row_number() over (partition by change.resource_id order by change.snapshot_date desc) = 1
),
last_seen as (
    select snapshot_date, resource_id, score, driver, first_observed_date, due_date, is_minimum
    from history.exposure
    where snapshot_date in (select previous_date from resolved)
        and resource_id in (select resource_id from resolved)
),
ranked as (
    select
        resolved.*, last_seen.* exclude (snapshot_date, resource_id),
        count(*) over (partition by owner) as total,
        row_number() over (
            partition by owner
            order by list_position($severities, severity_before), score desc nulls last, resolved.resource_id
        ) as rank
    from resolved
    left join last_seen
        on last_seen.resource_id = resolved.resource_id and last_seen.snapshot_date = resolved.previous_date
    qualify $limit is null or rank <= $limit
)
select
    ranked.owner, 'fixed' as section, ranked.change, ranked.cause, ranked.snapshot_date as changed_date,
    ranked.severity_before, null::varchar as severity, ranked.is_minimum, ranked.score, ranked.driver,
    ranked.account_id, ranked.account_name, ranked.region, ranked.cluster_name, ranked.service_name, ranked.resource_id,
    ranked.first_observed_date, ranked.due_date, null::date as accepted_until,
    case when ranked.due_date < ranked.snapshot_date then date_diff('day', ranked.due_date, ranked.snapshot_date) end
        as days_overdue,
    null::varchar as fix, null::varchar as severity_after_fix,
    false as is_carried, ranked.snapshot_date as observed_date, finding.finding_id, ranked.total
from ranked
left join history.finding as finding
    on finding.resource_id = ranked.resource_id and finding.snapshot_date = ranked.previous_date
order by ranked.owner nulls last, ranked.rank"""

# One row per owner with an exposure on the day or a change within the period: how many are open, and of its accounts
# those that were not completely seen.
_OWNERS = f"""
with named as (
    select owner, account_id, account_name, severity from today.exposure
    union all
    select owner, account_id, account_name, null from history.change where snapshot_date between $since and $day
)
select
    owner,
    count(*) filter (where {_OPEN}) as open,
    coalesce(list_sort(list(distinct {{'account_id': account_id, 'account_name': account_name}})
        filter (where list_contains($blind, account_id))), []) as accounts_not_seen
from named
where $owners is null or list_contains($owners, owner)
group by owner
order by owner nulls last"""


@dataclass(frozen=True)
class Section:
    """Rows of COLUMNS, the worst first, and how many there are in all."""

    rows: list[Row] = field(default_factory=list)
    total: int = 0


@dataclass(frozen=True)
class OwnerDigest:
    """What one owner (None: exposures without one) is told, by the names of SECTIONS.

    is_known: whether it has an exposure on the day or a change within the period. `open` counts its open exposures on
    the day, `accounts_not_seen` are those of its accounts (id, name) that were not completely seen.
    """

    owner: str | None
    is_known: bool = False
    open: int = 0
    accounts_not_seen: list[dict[str, str | None]] = field(default_factory=list)
    sections: dict[str, Section] = field(default_factory=lambda: {name: Section() for name in SECTIONS})


@dataclass(frozen=True)
class Digest:
    """The messages of one day, by owner, those without an owner last.

    since: first day of the period, which ends with `day`. not_assessed: its days without results. first_day: the first
    assessed day if it lies within the period; there is nothing earlier that could tell what was new on it.
    """

    day: date
    since: date
    not_assessed: list[date]
    first_day: date | None
    owners: list[OwnerDigest]

    def rows(self) -> Iterable[Row]:
        """All rows, owner by owner."""
        for told in self.owners:
            for section in told.sections.values():
                yield from section.rows


def digest(lake: Lake, day: date, days: int, owners: Collection[str] = (), limit: int | None = None) -> Digest:
    """What is new, overdue and fixed on an assessed day and the `days` - 1 before it.

    For the owners named, each of them, or for every owner with something to tell; at most `limit` rows a section.
    """
    since = day - timedelta(days=days - 1)
    assessed = [item for item in lake.days() if item <= day]
    before = lake.previous_day(since)
    parameters: dict[str, Any] = {
        "since": since,
        "day": day,
        "owners": sorted(set(owners)) or None,
        "limit": limit,
        "severities": list(SEVERITIES),
    }
    with connect() as connection:
        lake.attach_results(connection, day, "today", tables=("exposure", "fix", "finding"))
        lake.attach_history(
            connection, "history", since=before or since, until=day, tables=("change", "exposure", "finding")
        )
        known = _fetch(connection, _OWNERS, parameters | {"blind": not_seen(lake, day)})
        listed = [
            *_fetch(connection, _NEW_AND_OVERDUE, parameters).records(),
            *_fetch(connection, _FIXED, parameters | {"days": assessed}).records(),
        ]
    told = _by_owner(known.records(), listed)
    if owners:
        chosen = [told.get(owner, OwnerDigest(owner)) for owner in dict.fromkeys(owners)]
    else:
        chosen = [
            one for one in told.values() if one.accounts_not_seen or any(one.sections[name].total for name in SECTIONS)
        ]
    period = [since + timedelta(days=number) for number in range(days)]
    return Digest(
        day=day,
        since=since,
        not_assessed=sorted(set(period) - set(assessed)),
        first_day=None if before else assessed[0],
        owners=chosen,
    )


def _fetch(connection: duckdb.DuckDBPyConnection, select: str, parameters: Mapping[str, Any]) -> Rows:
    """DuckDB refuses parameters that a statement does not name."""
    return fetch(connection, select, {name: value for name, value in parameters.items() if f"${name}" in select})


def _by_owner(known: Iterable[Row], listed: Iterable[Row]) -> dict[str | None, OwnerDigest]:
    told = {row["owner"]: OwnerDigest(row["owner"], True, row["open"], row["accounts_not_seen"]) for row in known}
    for row in listed:
        sections = told[row["owner"]].sections
        name = row["section"] + ("_carried" if row["is_carried"] else "")
        total = row.pop("total")
        if not sections[name].total:
            sections[name] = Section(total=total)
        sections[name].rows.append(row)
    return told
