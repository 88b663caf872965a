"""What Security Hub should be told tonight: today's results against the ledger."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from ecs_exposure.databases import connect
from ecs_exposure.lake import Lake
from ecs_exposure.publish_ledger import rows_of
from ecs_exposure.schemas.snapshots import SNAPSHOTS
from ecs_exposure.securityhub.held_back import hold_back, summary
from ecs_exposure.securityhub.ledger import Action, Target, completely_seen, plan
from ecs_exposure.settings import Settings

DEPARTED_TRIES = 3
"""The findings of an account that left are tried for so many times the days of grace, then left to AWS, which deletes
them.
"""

_FINDINGS = """
select finding.*, exposure.score, exposure.first_observed_date
from today.finding as finding
join today.exposure as exposure on exposure.resource_id = finding.resource_id"""


@dataclass(frozen=True)
class Planned:
    """Actions by account, Region and finding_id, and what findings say that stand in no results, by finding_id."""

    actions: list[Action]
    ready: dict[str, dict[str, Any]]


def planned(
    settings: Settings,
    lake: Lake,
    day: date,
    ledger: Mapping[str, Mapping[str, Any]],
    targets: Collection[Target] | None = None,
) -> Planned:
    """The plan for some targets (all Regions of each account), or for all, with their ledger.

    Raises PublishError for a day older than the last one published, LakeError when it was not assessed.
    """
    with connect(memory_limit="100MB", threads=1) as connection:
        lake.attach_results(connection, day, "today", tables=("finding", "exposure", "coverage"))
        connection.execute(f"create view findings as {_FINDINGS}")
        findings = list(rows_of(connection, "findings", targets, order="finding_id"))
        coverage = (
            connection.sql("select account_id, region, dataset, status from today.coverage")
            .to_arrow_table()
            .to_pylist()
        )
    complete = completely_seen(coverage) | _departed(settings, lake, day, ledger, coverage)
    held = hold_back(findings, ledger, most=settings.new_findings_per_account, snapshot_date=day)
    summaries = [summary(target, counts, day, settings.partition) for target, counts in sorted(held.counts.items())]
    actions = plan(
        [*held.findings, *(row for row, _ in summaries)],
        ledger,
        complete if targets is None else complete & set(targets),
        snapshot_date=day,
        heartbeat_days=settings.heartbeat_days,
    )
    return Planned(actions, {row["finding_id"]: told for row, told in summaries})


def _departed(
    settings: Settings,
    lake: Lake,
    day: date,
    ledger: Mapping[str, Mapping[str, Any]],
    coverage: Sequence[Mapping[str, Any]],
) -> set[Target]:
    """Targets of accounts that are in the organisation no more: not listed today nor scanned in the days of grace, but
    not longer ago than it makes sense to try.

    None where the listing is not there: then every account would seem gone. An account that is listed and not scanned
    (`include_accounts`) has not left.
    """
    scanned = {row["account_id"] for row in coverage}
    told = {(known["account_id"], known["region"]) for known in ledger.values()}
    listers = {row["account_id"] for row in coverage if row["dataset"] == "account" and row["status"] == "ok"}
    if not listers or not (unscanned := {account_id for account_id, _ in told} - scanned):
        return set()
    listing = lake.rows(day, SNAPSHOTS["account"], unscanned | listers, lake.coverage(day))
    listed = set(listing["account_id"].to_pylist())
    if not listed & listers:  # the snapshot of the day is not kept any more
        return set()
    gone = {target for target in told if target[0] in unscanned - listed}
    grace = timedelta(days=settings.departed_account_days)
    with connect(memory_limit="100MB", threads=1) as connection:
        lake.attach_history(connection, "history", since=day - DEPARTED_TRIES * grace, until=day, tables=("coverage",))
        last_listed: dict[str, date] = dict(
            connection.execute(
                """select account_id, max(snapshot_date) from history.coverage
                where list_contains(?, account_id) group by account_id""",
                [sorted({account_id for account_id, _ in gone})],
            ).fetchall()
        )
    return {target for target in gone if target[0] in last_listed and day - last_listed[target[0]] >= grace}
