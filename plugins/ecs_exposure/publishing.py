"""Publishing: what changed since Security Hub was last told, account by account and Region by Region."""

from __future__ import annotations

import secrets
from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal

from ecs_exposure.aws import AwsAccess
from ecs_exposure.lake import Lake
from ecs_exposure.models import connect, trait_texts
from ecs_exposure.schemas.results import RESULTS
from ecs_exposure.securityhub.documents import document
from ecs_exposure.securityhub.ledger import Action, Target, absent, completely_seen, plan, publications_fold
from ecs_exposure.securityhub.publisher import Outcome, check, publish
from ecs_exposure.settings import Settings

LEDGER_DAYS = 120
"""The ledger is read so far back: an active finding is re-sent within 80 days at the latest, and AWS deletes archived
ones after 30.
"""

TARGETS_A_BATCH = 8

Batch = dict[str, Any]
Mode = Literal["off", "dry-run", "on"]


def plan_publish(settings: Settings, lake: Lake, day: date) -> list[Batch]:
    """At most `max_batches` batches of the (account, Region) pairs that have something to be told; none when publishing
    is off.
    """
    if settings.publish == "off":
        return []
    todo: dict[str, set[str]] = {}
    for action in _actions(settings, lake, day, None):
        if action.reason != "unchanged":
            todo.setdefault(action.account_id, set()).add(action.region)
    accounts = sorted(todo)
    size = max(1, TARGETS_A_BATCH // max(1, len(settings.regions)), -(-len(accounts) // settings.max_batches))
    return [
        {
            "id": f"publish-{start // size:03d}",
            "targets": [
                [account, region] for account in accounts[start : start + size] for region in sorted(todo[account])
            ],
        }
        for start in range(0, len(accounts), size)
    ]


def publish_batch(settings: Settings, access: AwsAccess, lake: Lake, day: date, batch: Batch) -> dict[str, int]:
    """Tell Security Hub of one batch's pairs what changed; every attempt is appended to `publication`. Returns findings
    by outcome.

    AWS's refusals are recorded, not raised; `check_published` judges the day as a whole.
    """
    targets = {(account, region) for account, region in batch["targets"]}
    actions: dict[Target, list[Action]] = {}
    for action in _actions(settings, lake, day, targets):
        actions.setdefault(action.target, []).append(action)
    assert settings.publish != "off"
    counts: dict[str, int] = {}
    declared = RESULTS["publication"]
    for target, mine in sorted(actions.items()):
        outcome = publish(
            lambda account_id, region: access.client("securityhub", account_id, region, "publish"),
            mine,
            mode=settings.publish,
            now=lambda: datetime.now(UTC),
        )
        lake.append_publication(day, f"{batch['id']}-{secrets.token_hex(4)}", declared.to_arrow(outcome.rows))
        for name in ("sent", "archived", "unchanged", "failed", "denied", "not_enabled", "dry_run"):
            counts[name] = counts.get(name, 0) + getattr(outcome, name)
        access.release(target[0])
    return {name: count for name, count in counts.items() if count}


def check_published(settings: Settings, lake: Lake, day: date) -> dict[str, int]:
    """What became of the day's findings, by the last attempt at each.

    Raises PublishError when there was something to send and nothing was sent.
    """
    last: dict[str, dict[str, Any]] = {}
    for row in _publications(lake, day, day, None):
        last[row["finding_id"]] = row
    outcomes: dict[Target, Outcome] = {}
    for row in last.values():
        target = (row["account_id"], row["region"])
        outcome = outcomes.setdefault(target, Outcome(*target))
        outcome.rows.append(row)
        setattr(outcome, row["status"], getattr(outcome, row["status"]) + 1)
        if row["status"] == "sent" and row["record_state"] == "ARCHIVED":
            outcome.archived += 1
    with connect() as connection:
        lake.attach_results(connection, day, "today", tables=("finding",))
        findings = {identity for (identity,) in connection.execute("select finding_id from today.finding").fetchall()}
    check([*outcomes.values(), Outcome(unchanged=len(findings - last.keys()))])
    totals = {name: sum(getattr(outcome, name) for outcome in outcomes.values()) for name in _OUTCOMES}
    return {name: count for name, count in totals.items() if count}


_OUTCOMES = ("sent", "archived", "failed", "denied", "not_enabled", "dry_run")


def _actions(settings: Settings, lake: Lake, day: date, targets: Collection[Target] | None) -> list[Action]:
    """The plan for some (account, Region) pairs, or for all."""
    with connect() as connection:
        lake.attach_results(connection, day, "today", tables=("finding", "coverage"))
        coverage = (
            connection.sql("select account_id, region, dataset, status from today.coverage")
            .to_arrow_table()
            .to_pylist()
        )
        # What they say is not needed to count them.
        columns = "*" if targets is not None else "* replace ('' as content)"
        rows = connection.sql(f"select {columns} from today.finding").to_arrow_reader(1_000)
        findings = [row for batch in rows for row in batch.to_pylist() if _wanted(row, targets)]
    # Up to the last assessed day, so that publishing an older one is refused.
    last = max([day, *lake.days()])
    ledger = publications_fold(_publications(lake, day - timedelta(days=LEDGER_DAYS), last, targets))
    seen = completely_seen(coverage)
    complete = seen if targets is None else seen & set(targets)
    missing = absent({row["finding_id"] for row in findings}, ledger) if targets is not None else []
    texts = {text.trait: text for text in trait_texts(settings.sql)}

    def written(content: str) -> str:
        return document(content, texts, settings.partition) if content else ""

    return plan(
        findings,
        ledger,
        complete,
        document=lambda row: written(row["content"]),
        snapshot_date=day,
        heartbeat_days=settings.heartbeat_days,
        previous={
            identity: written(content) for identity, content in _last_contents(lake, day, missing, ledger).items()
        },
    )


def _wanted(row: Mapping[str, Any], targets: Collection[Target] | None) -> bool:
    return targets is None or (row["account_id"], row["region"]) in targets


def _publications(lake: Lake, since: date, until: date, targets: Collection[Target] | None) -> list[dict[str, Any]]:
    with connect() as connection:
        lake.attach_history(connection, "history", since=since, until=until, tables=("publication",))
        rows = connection.sql(
            "select * from history.publication order by published_at, updated_at, finding_id"
        ).to_arrow_reader(5_000)
        return [row for batch in rows for row in batch.to_pylist() if _wanted(row, targets)]


def _last_contents(
    lake: Lake, day: date, finding_ids: Iterable[str], ledger: Mapping[str, Mapping[str, Any]]
) -> dict[str, str]:
    """What findings that are absent today last said, read from the days they were last sent on."""
    wanted = sorted(finding_ids)
    if not wanted:
        return {}
    days = {ledger[identity]["sent_date"] or ledger[identity]["snapshot_date"] for identity in wanted}
    previous = lake.previous_day(day)
    contents: dict[str, str] = {}
    for item in sorted({*days, *([previous] if previous else [])} & set(lake.days())):
        with connect() as connection:
            lake.attach_results(connection, item, "earlier", tables=("finding",))
            found = connection.execute(
                "select finding_id, content from earlier.finding where list_contains(?, finding_id)", [wanted]
            ).fetchall()
            contents |= dict(found)
    return contents
