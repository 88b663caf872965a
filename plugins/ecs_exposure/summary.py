"""What a night found: severities, the ten worst, the best fixes, what changed, what was sent, what could not be seen.

Read from the lake alone, so that it says the same whichever way the scan ran.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import duckdb

from ecs_exposure.databases import connect
from ecs_exposure.decisions import decisions, readings
from ecs_exposure.exposures import WORST_FIRST
from ecs_exposure.history import fetch
from ecs_exposure.lake import Lake, LakeError
from ecs_exposure.publish_ledger import LEDGER_DAYS, create_last_attempt
from ecs_exposure.schemas.results import COVERAGE, COVERAGE_STATUSES, SEVERITIES, severity_rank
from ecs_exposure.schemas.snapshots import FEED_DATASETS, SNAPSHOTS

WORST = 10
NOTABLE = 12
BEST_FIXES = 8

_TABLES = ("exposure", "accepted_risk", "change", "fix", "coverage", "finding", "service_image")
_CHANGE_ORDER = ("opened", "worsened", "improved", "resolved", "changed")
_NOT_SEEN = ("denied", "failed", "invalid")

_SEVERITIES = """
select severity, count(*) as services, count(*) filter (where is_carried) as carried,
    count(*) filter (where is_minimum) as at_least
from {schema}.exposure group by severity"""
_ACCEPTED = """
select
    (select count(*) from today.exposure where accepted_until is not null) as exposures,
    count(*) as entries,
    count(*) filter (where state = 'expired') as expired,
    count(*) filter (where state = 'in_force' and services = 0) as unmatched
from today.accepted_risk"""
_WORST = f"from today.exposure where severity <> 'INFORMATIONAL' order by {WORST_FIRST} limit {WORST}"
_FIXES = """
with lowered as (
    select removed_kind, description, resource_id, severity_before, severity_after, score_before - score_after as score
    from today.fix
    where severity_after <> severity_before
        and resource_id not in (select resource_id from today.exposure where accepted_until is not null)
),
best as (
    select removed_kind, description, count(distinct resource_id) as services, sum(score) as score_removed,
        count(*) filter (where severity_before = 'CRITICAL') as critical,
        count(*) filter (where severity_before = 'HIGH') as high,
        count(*) filter (where severity_before = 'MEDIUM') as medium
    from lowered
    group by removed_kind, description
    order by critical desc, high desc, medium desc, score_removed desc, removed_kind, description
    limit $limit
),
move as (
    select removed_kind, description, severity_before, severity_after, count(*) as fixes
    from lowered
    semi join best using (removed_kind, description)
    group by all
),
moves as (
    select removed_kind, description,
        list({severity_before: severity_before, severity_after: severity_after, fixes: fixes} order by
            list_position($severities, severity_before), list_position($severities, severity_after)) as moves
    from move
    group by all
)
select removed_kind, description, services, score_removed, moves.moves
from best
join moves using (removed_kind, description)
order by critical desc, high desc, medium desc, score_removed desc, removed_kind, description"""
_ACCOUNTS = f"""
select account_id,
    {", ".join(f"count(*) filter (where status = '{status}') as {status}" for status in COVERAGE_STATUSES)},
    max(observed_date) filter (where status in {_NOT_SEEN}) as last_seen_date,
    coalesce(list_sort(list(distinct dataset) filter (where status in {_NOT_SEEN})), []) as not_seen_datasets,
    arg_min(message, (list_position({list(_NOT_SEEN)}, status), dataset))
        filter (where status in {_NOT_SEEN}) as message,
    coalesce(list_sort(list(distinct dataset) filter (where status = 'not_enabled')), []) as not_enabled_datasets
from today.coverage
-- An optional file that is not set is no account's doing; `ecs-exposure feeds` tells of it.
where not (status = 'not_enabled' and dataset in {FEED_DATASETS})
group by account_id"""
_IMAGES = """
select scan_status, count(*) as images
from (
    select distinct
        registry_account, registry_region, repository_name, coalesce(image_digest, image) as image, scan_status
    from today.service_image
)
group by scan_status
order by images desc, scan_status"""
# The day's last attempt speaks for a finding; one without an attempt is unchanged when what was sent is what it says.
_PUBLICATION = """
with attempt as (
    select * from ledger.last_attempt where snapshot_date = $day
),
sent as (
    select finding_id, content_hash, record_state, published_at from ledger.publication where status = 'sent'
    union all
    select finding_id, content_hash, record_state, published_at from ledger.ledger where sent_date is not null
),
last_sent as (
    select finding_id, content_hash, record_state from sent
    qualify row_number() over (partition by finding_id order by published_at desc) = 1
),
outcome as (
    select case when status = 'sent' and record_state = 'ARCHIVED' then 'archived' else status end as outcome
    from attempt
    union all
    select case when last_sent.record_state = 'ACTIVE' then 'unchanged' else 'not_sent' end
    from today.finding as finding
    left join last_sent on last_sent.finding_id = finding.finding_id and last_sent.content_hash = finding.content_hash
    where finding.finding_id not in (select finding_id from attempt)
)
select outcome, count(*) as findings from outcome group by outcome order by outcome"""
_PUBLICATION_ERRORS = """
select status, error_code, region, account_id, any_value(error_message) as error_message,
    count(distinct finding_id) as findings
from ledger.publication
where snapshot_date = $day and status in ('failed', 'denied', 'not_enabled')
group by status, error_code, region, account_id
order by findings desc, account_id, region
limit 5"""


@dataclass(frozen=True)
class Summary:
    """One assessed day in figures; lists hold rows as dictionaries. Counts that are not known are None, never 0."""

    organization_account_id: str | None
    day: date
    previous_day: date | None
    rules_version: str
    services_seen: int | None
    severities: list[dict[str, Any]]
    accepted_risks: dict[str, int]
    """Accepted `exposures`; `entries` of the file, and of these the `expired` and, in force, the `unmatched`."""
    worst: list[dict[str, Any]]
    fixes: list[dict[str, Any]]
    changes: dict[str, dict[str, int]]
    notable_changes: list[dict[str, Any]]
    publication: dict[str, int]
    publication_errors: list[dict[str, Any]]
    readings: dict[str, int | None]
    """What reading Security Hub back found that day."""
    suppressed: list[dict[str, Any]]
    """CRITICAL and HIGH exposures whose findings people suppressed in Security Hub, their risk not accepted."""
    accounts: list[dict[str, Any]]
    images: dict[str, int]
    """Images that count as running, by scan_status."""
    regions: list[str]
    lake: str
    data_docs: str


def summarise(lake: Lake, day: date, organization_account_id: str | None = None) -> Summary:
    """The summary of one assessed day. Raises LakeError when the day was not assessed or its files cannot be read."""
    previous = lake.previous_day(day)
    connection = _connect(lake, day, _TABLES)
    if previous:
        lake.attach_results(connection, previous, "before", tables=["exposure"])
    changes = fetch(connection, "select * from today.change").records()
    return Summary(
        organization_account_id=organization_account_id,
        day=day,
        previous_day=previous,
        rules_version=lake.day(day).rules_version,
        services_seen=connection.execute(
            "select sum(rows)::bigint from today.coverage where dataset = 'service'"
        ).fetchall()[0][0],
        severities=_severities(connection, has_previous=previous is not None),
        accepted_risks=fetch(connection, _ACCEPTED).records()[0],
        worst=fetch(connection, _WORST).records(),
        fixes=fetch(connection, _FIXES, {"severities": list(SEVERITIES), "limit": BEST_FIXES}).records(),
        changes=_change_counts(changes),
        notable_changes=sorted((row for row in changes if row["change"] != "changed"), key=_notable_first)[:NOTABLE],
        publication=_publication(connection, day),
        publication_errors=fetch(connection, _PUBLICATION_ERRORS, {"day": day}).records(),
        readings=readings(lake, day),
        suppressed=[
            row
            for row in decisions(lake, day)
            if row["workflow_status"] == "SUPPRESSED"
            and row["severity"] in ("CRITICAL", "HIGH")
            and row["accepted_until"] is None
        ],
        accounts=_accounts(connection, lake, day),
        images={str(row[0]): int(row[1]) for row in fetch(connection, _IMAGES).rows},
        regions=[
            row[0]
            for row in connection.execute(
                "select distinct region from today.coverage where region <> 'global' order by 1"
            ).fetchall()
        ],
        lake=lake.location,
        data_docs=f"{lake.location}/data_docs/snapshot_date={day}/night.html",
    )


def publication_counts(lake: Lake, day: date) -> dict[str, int]:
    """Findings of one day by what came of them: a status of `publication`, or archived, unchanged, not_sent."""
    return _publication(_connect(lake, day, ["finding"]), day)


def _publication(connection: duckdb.DuckDBPyConnection, day: date) -> dict[str, int]:
    return {str(row[0]): int(row[1]) for row in fetch(connection, _PUBLICATION, {"day": day}).rows}


def _connect(lake: Lake, day: date, tables: Collection[str]) -> duckdb.DuckDBPyConnection:
    """today.<table> of the day, and what was told until then: ledger.ledger where one is stored, ledger.publication
    since.
    """
    connection = connect()
    lake.attach_results(connection, day, "today", tables=tables)
    stored = max((item for item in lake.ledger_days() if item <= day), default=None)
    since = stored or day - timedelta(days=LEDGER_DAYS)
    lake.attach_results(connection, stored, "stored", tables=["ledger"])
    lake.attach_history(connection, "ledger", since=since, until=day, tables=["publication"])
    connection.execute("create view ledger.ledger as select * from stored.ledger")
    create_last_attempt(connection, "ledger")
    return connection


def _severities(connection: duckdb.DuckDBPyConnection, *, has_previous: bool) -> list[dict[str, Any]]:
    now = {row["severity"]: row for row in fetch(connection, _SEVERITIES.format(schema="today")).records()}
    then = (
        {row["severity"]: row for row in fetch(connection, _SEVERITIES.format(schema="before")).records()}
        if has_previous
        else None
    )
    none = {"services": 0, "carried": 0, "at_least": 0}
    return [
        {
            "severity": name,
            **none,
            **now.get(name, {}),
            "services_before": None if then is None else then.get(name, none)["services"],
        }
        for name in SEVERITIES
    ]


def _change_counts(changes: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, int]]:
    """{cause: {change: services}}, changes in the order in which they matter."""
    counts: dict[str, dict[str, int]] = {}
    for row in sorted(changes, key=lambda row: _CHANGE_ORDER.index(row["change"])):
        of_cause = counts.setdefault(row["cause"], {})
        of_cause[row["change"]] = of_cause.get(row["change"], 0) + 1
    return counts


def _notable_first(row: Mapping[str, Any]) -> tuple[bool, int, int, str]:
    severity = row["severity_after"] if row["change"] != "resolved" else row["severity_before"]
    return (
        row["cause"] == "rules",
        _CHANGE_ORDER.index(row["change"]),
        severity_rank(severity or "INFORMATIONAL"),
        row["resource_id"],
    )


def _accounts(connection: duckdb.DuckDBPyConnection, lake: Lake, day: date) -> list[dict[str, Any]]:
    rows = fetch(connection, _ACCOUNTS).records()
    names = _account_names(connection, lake, day, [row["account_id"] for row in rows])
    for row in rows:
        row["account_name"] = names.get(row["account_id"])
    return sorted(
        rows, key=lambda row: (not is_blind(row), -sum(row[status] for status in _NOT_SEEN), row["account_id"])
    )


def _account_names(
    connection: duckdb.DuckDBPyConnection, lake: Lake, day: date, accounts: Sequence[str]
) -> dict[str, str]:
    exposed = fetch(connection, "select account_id, any_value(account_name) from today.exposure group by 1").rows
    names: dict[str, str] = {account: name for account, name in exposed if name}
    try:
        coverage = connection.sql("select * from today.coverage").to_arrow_table().cast(COVERAGE.schema)
        listed = lake.rows(day, SNAPSHOTS["account"], accounts, coverage).to_pylist()
    except LakeError:  # an old day's snapshot has been removed: accounts without an exposure then show by their id
        listed = []
    return names | {row["account_id"]: row["account_name"] for row in listed if row["account_name"]}


def is_blind(row: Mapping[str, Any]) -> bool:
    """Whether an account was not completely seen."""
    return any(row[status] for status in _NOT_SEEN)
