"""Publishing: what changed since Security Hub was last told, account by account and Region by Region."""

from __future__ import annotations

import gc
import secrets
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, date, datetime
from functools import partial
from typing import Any, Literal

from ecs_exposure import publish_ledger
from ecs_exposure.aws import AwsAccess
from ecs_exposure.aws_errors import AWS_ERRORS, classify
from ecs_exposure.databases import connect
from ecs_exposure.finding_documents import FindingDocuments
from ecs_exposure.lake import Lake
from ecs_exposure.publish_plan import planned
from ecs_exposure.schemas.results import RESULTS
from ecs_exposure.securityhub.ledger import Target, is_known
from ecs_exposure.securityhub.publisher import MAX_MESSAGE, Outcome, Row, check, publish
from ecs_exposure.securityhub.reconcile import Reconciled, read_back, reconcile
from ecs_exposure.securityhub.text import cut
from ecs_exposure.settings import Settings

TARGETS_A_BATCH = 8
DAYS_OF_WEEK = 7

Batch = dict[str, Any]
Mode = Literal["off", "dry-run", "on"]


def plan_publish(settings: Settings, lake: Lake, day: date, *, is_full_reading: bool = False) -> list[Batch]:
    """At most `max_batches` batches of (account, Region) pairs: those of every account that has something to be told or
    is read back tonight. None when publishing is off.

    Read back is what was told before: each account's once a week, on the weekday its number falls on;
    everything with `is_full_reading`.
    """
    if settings.publish == "off":
        return []
    ledger = publish_ledger.read(lake, day)
    regions: dict[str, set[str]] = {}  # all that an account's findings are in: its new ones are ranked together
    accounts = set()
    for action in planned(settings, lake, day, ledger).actions:
        regions.setdefault(action.account_id, set()).add(action.region)
        if action.reason != "unchanged":
            accounts.add(action.account_id)
    due: dict[str, set[str]] = {}
    for known in ledger.values():
        account_id = known["account_id"]
        if is_known(known) and (is_full_reading or int(account_id) % DAYS_OF_WEEK == day.toordinal() % DAYS_OF_WEEK):
            due.setdefault(account_id, set()).add(known["region"])
    ordered = sorted(accounts | due.keys())
    size = max(1, TARGETS_A_BATCH // max(1, len(settings.regions)), -(-len(ordered) // settings.max_batches))
    batches = []
    for start in range(0, len(ordered), size):
        mine = ordered[start : start + size]
        batches.append(
            {
                "id": f"publish-{start // size:03d}",
                "targets": _pairs(mine, {name: regions.get(name, set()) | due.get(name, set()) for name in mine}),
                "read_back": _pairs(mine, due),
            }
        )
    return batches


def publish_batch(settings: Settings, access: AwsAccess, lake: Lake, day: date, batch: Batch) -> dict[str, int]:
    """Tell Security Hub of one batch's pairs what changed, after reading back those that are due. Every attempt is
    appended to `publication`, every reading to `reconciliation` and `customer_decision`. Returns findings by outcome.

    AWS's refusals are recorded, not raised; `check_published` judges the day as a whole.
    """
    assert settings.publish != "off"
    targets = {(account, region) for account, region in batch["targets"]}

    def client_for(account_id: str, region: str) -> Any:
        return access.client("securityhub", account_id, region, "publish")

    def append(table: str, rows: Sequence[Row]) -> None:
        lake.append(table, day, f"{batch['id']}-{secrets.token_hex(4)}", RESULTS[table].to_arrow(rows))

    ledger = publish_ledger.read(lake, day, targets)
    due = [(account, region) for account, region in batch["read_back"]]
    if due:
        with ThreadPoolExecutor(max_workers=TARGETS_A_BATCH) as pool:
            read = list(pool.map(lambda target: _read_back(client_for, target, ledger, settings.partition, day), due))
        for reconciled in read:
            ledger |= reconciled.ledger
        append("customer_decision", [row for reconciled in read for row in reconciled.decisions])
        append("reconciliation", [reconciled.reconciliation for reconciled in read])
    plan = planned(settings, lake, day, ledger, targets)
    with _seldom_collecting(), FindingDocuments(settings, lake, day, ready=plan.ready) as documents:
        outcomes = publish(
            client_for,
            plan.actions,
            documents=documents,
            record=partial(append, "publication"),
            mode=settings.publish,
            now=lambda: datetime.now(UTC),
        )
    for account_id in {account_id for account_id, _ in targets}:
        access.release(account_id)
    return _counts(outcomes, ("sent", "archived", "unchanged", "failed", "denied", "not_enabled", "dry_run"))


@contextmanager
def _seldom_collecting() -> Iterator[None]:
    """Let Python look for cyclic garbage a hundredth as often: findings are made of a million values each second, none
    of them in a cycle, and looking through them took a fifth of the time.
    """
    before = gc.get_threshold()
    gc.set_threshold(100 * before[0], *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _read_back(
    client_for: Callable[[str, str], Any],
    target: Target,
    ledger: Mapping[str, dict[str, Any]],
    partition: str,
    day: date,
) -> Reconciled:
    """The target's ledger as Security Hub bears it out; as it was where Security Hub cannot be read."""
    mine = {identity: known for identity, known in ledger.items() if (known["account_id"], known["region"]) == target}
    read_at = datetime.now(UTC)
    try:
        stored = read_back(client_for(*target), *target, partition)
        return reconcile(target, mine, stored, snapshot_date=day, read_at=read_at)
    except AWS_ERRORS as error:
        status, message = classify(error)
        row = {
            "snapshot_date": day,
            "account_id": target[0],
            "region": target[1],
            "status": "denied" if status == "excluded" else status,
            "message": cut(message, MAX_MESSAGE),
            "read_at": read_at,
        }
        return Reconciled(mine, [], row)


def _pairs(accounts: Iterable[str], regions: Mapping[str, Collection[str]]) -> list[list[str]]:
    return [[account, region] for account in accounts for region in sorted(regions.get(account, ()))]


def check_published(settings: Settings, lake: Lake, day: date) -> dict[str, int]:
    """What became of the day's findings, by the last attempt at each; stores the ledger.

    Raises PublishError when there was something to send and nothing was sent.
    """
    publish_ledger.store(lake, day)
    with connect() as connection:
        lake.attach_results(connection, day, "today", tables=("finding", "publication"))
        publish_ledger.create_last_attempt(connection, "today")
        last = list(publish_ledger.rows_of(connection, "today.last_attempt", None, order="finding_id"))
        findings = {identity for (identity,) in connection.execute("select finding_id from today.finding").fetchall()}
    outcomes: dict[Target, Outcome] = {}
    for row in last:
        target = (row["account_id"], row["region"])
        outcome = outcomes.setdefault(target, Outcome(*target))
        outcome.rows.append(row)
        setattr(outcome, row["status"], getattr(outcome, row["status"]) + 1)
        if row["status"] == "sent" and row["record_state"] == "ARCHIVED":
            outcome.archived += 1
    check([*outcomes.values(), Outcome(unchanged=len(findings - {row["finding_id"] for row in last}))])
    return _counts(outcomes.values(), ("sent", "archived", "failed", "sending", "denied", "not_enabled", "dry_run"))


def _counts(outcomes: Collection[Outcome], names: Sequence[str]) -> dict[str, int]:
    totals = {name: sum(getattr(outcome, name) for outcome in outcomes) for name in names}
    return {name: count for name, count in totals.items() if count}
