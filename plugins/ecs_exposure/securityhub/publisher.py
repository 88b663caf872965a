"""What to tell Security Hub tonight (`plan`), and telling it (`publish`): one account and Region at a time, only what changed.

The ledger is the result table `publication`, folded by `publications_fold`. A finding is created once and updated for ever after: its
Id is stable, CreatedAt and FirstObservedAt are those first sent, UpdatedAt strictly increases. Re-sending after a crash is therefore
harmless. Sources: Security Hub API reference (BatchImportFindings), its partner guide (100 findings and 6 MB a batch), user guide
(deletion 90 days after the last update, 30 days when archived).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal

from tenacity import RetryError, Retrying, retry_if_exception_type, stop_after_attempt
from tenacity.wait import wait_base, wait_exponential_jitter

from ecs_exposure.aws import AWS_ERRORS, IncompleteAnswer, classify
from ecs_exposure.securityhub.asff import MAX_FINDING_BYTES, closing_document, timestamp, wire_bytes
from ecs_exposure.securityhub.text import cut

Target = tuple[str, str]
"""(account_id, region)."""
Reason = Literal["new", "changed", "heartbeat", "archived", "reopened", "unchanged"]

MAX_BATCH = 100
MAX_BATCH_BYTES = 6_000_000
ATTEMPTS = 3
_ENVELOPE_BYTES = 1_000
_TICK = timedelta(milliseconds=1)

# Per-finding codes after which the same finding may well be accepted: the answer blames the service, not the finding.
_TRANSIENT = frozenset(
    {
        "ConcurrentUpdateError", "InternalException", "InternalFailure", "InternalServerError", "LimitExceeded",
        "LimitExceededException", "ServiceUnavailable", "ServiceUnavailableException", "Throttling", "ThrottlingException",
        "TooManyRequestsException", "IncompleteAnswer",
    }
)  # fmt: skip
_NOT_ENABLED = frozenset({"InvalidAccess", "InvalidAccessException"})
_DENIED = frozenset({"AccessDenied", "AccessDeniedException"})
# Failed with one of these, a finding is certainly not stored; after any other failure it may be.
_REFUSED = frozenset({"InvalidInput", "InvalidInputException", "FindingSizeExceeded"})


class PublishError(RuntimeError):
    """Publishing must not go on, or did not do what it was there for; the message says why and what to do."""


@dataclass(frozen=True)
class Action:
    """One finding to send, or (reason `unchanged`) to leave alone. `document` is the finding as JSON without UpdatedAt.

    `created_at` and `updated_at` are those of the ledger: NULL for a finding never sent.
    """

    account_id: str
    region: str
    resource_id: str
    finding_id: str
    content_hash: str
    severity: str | None
    reason: Reason
    snapshot_date: date
    document: str
    created_at: datetime | None
    updated_at: datetime | None

    @property
    def target(self) -> Target:
        return self.account_id, self.region

    @property
    def record_state(self) -> Literal["ACTIVE", "ARCHIVED"]:
        return "ARCHIVED" if self.reason == "archived" else "ACTIVE"

    @property
    def is_sent(self) -> bool:
        return self.reason != "unchanged"


@dataclass
class Outcome:
    """What came of one account and Region. `archived` and `heartbeat` are among `sent`; `rows` go into `publication`.

    Findings are counted by their last attempt; `rows` holds every attempt.
    """

    account_id: str
    region: str
    sent: int = 0
    failed: int = 0
    denied: int = 0
    not_enabled: int = 0
    archived: int = 0
    heartbeat: int = 0
    unchanged: int = 0
    dry_run: int = 0
    rows: list[dict[str, Any]] = field(default_factory=list)

    @property
    def to_send(self) -> int:
        """Findings there was something to send of, outside a dry run."""
        return self.sent + self.failed + self.denied + self.not_enabled


# --- the ledger -----------------------------------------------------------------------------------------------------


def publications_fold(rows: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """The ledger: per finding_id one `publication` row that says what Security Hub holds, from the rows of all attempts.

    It is the last row sent (record_state, content_hash, severity, published_at), with `created_at` of the first attempt, the highest
    `updated_at` and `snapshot_date` ever tried, and `status`, `reason` and error of the last attempt. A finding never sent appears
    only if an attempt failed in a way that may have reached Security Hub; dry runs never count.
    """
    ledger: dict[str, dict[str, Any]] = {}
    for row in sorted(rows, key=lambda item: (item["published_at"], item["updated_at"])):
        if row["status"] == "dry_run":
            continue
        known = ledger.get(row["finding_id"])
        if known is None:
            ledger[row["finding_id"]] = {**row, "was_sent": row["status"] == "sent", "maybe_stored": _maybe_stored(row)}
            continue
        merged = {**known, **{key: row[key] for key in ("status", "reason", "error_code", "error_message")}}
        if row["status"] == "sent" or not known["was_sent"]:
            merged |= {key: row[key] for key in ("record_state", "content_hash", "severity", "published_at")}
        merged["was_sent"] = known["was_sent"] or row["status"] == "sent"
        merged["maybe_stored"] = known["maybe_stored"] or _maybe_stored(row)
        merged["created_at"] = min(known["created_at"], row["created_at"])
        merged["updated_at"] = max(known["updated_at"], row["updated_at"])
        merged["snapshot_date"] = max(known["snapshot_date"], row["snapshot_date"])
        ledger[row["finding_id"]] = merged
    return ledger


def _maybe_stored(row: Mapping[str, Any]) -> bool:
    return row["status"] == "sent" or (row["status"] == "failed" and row["error_code"] not in _REFUSED)


def completely_seen(coverage: Iterable[Mapping[str, Any]]) -> set[Target]:
    """The (account, Region) in which every dataset was seen today, the account's `global` ones included, from `coverage` rows.

    `not_enabled` counts as seen: what was never switched on showed nothing that could now be missing, and what was switched off is
    carried over by the assessment and so is not missing from its findings.
    """
    good: dict[Target, bool] = {}
    for row in coverage:
        target = (row["account_id"], row["region"])
        good[target] = good.get(target, True) and row["status"] in ("ok", "not_enabled")
        if row["dataset"] == "service" and row["status"] != "ok":
            good[target] = False
    return {
        (account, region) for (account, region), seen in good.items() if seen and region != "global" and good.get((account, "global"), False)
    }


# --- the plan -------------------------------------------------------------------------------------------------------


def plan(
    findings: Iterable[Mapping[str, Any]],
    ledger: Mapping[str, Mapping[str, Any]],
    complete: Collection[Target],
    previous: Mapping[str, str],
    *,
    snapshot_date: date,
    heartbeat_days: int,
    now: datetime,
) -> list[Action]:
    """One action per finding of today and per finding to archive, in the order of account, Region and finding_id. Pure.

    findings: rows of the result table `finding`, *all* of every target named in `complete`.
    ledger: `publications_fold` of those targets.
    complete: the targets among them that were completely seen (`completely_seen`); only there an absent finding is archived.
    previous: the last document of findings that are absent today, by finding_id; without one a short closing document is sent.

    Raises PublishError for a day older than the last one published.
    """
    latest = max((row["snapshot_date"] for row in ledger.values()), default=snapshot_date)
    if latest > snapshot_date:
        raise PublishError(
            f"{snapshot_date} is older than {latest}, which was already published: Security Hub would go back in time. "
            "Publish the latest day; past days are reassessed, never published"
        )
    actions = []
    present = set()
    for finding in findings:
        present.add(finding["finding_id"])
        known = ledger.get(finding["finding_id"])
        reason = _reason(finding, known, snapshot_date, heartbeat_days, now)
        actions.append(_action(finding, known, reason, snapshot_date, finding["document"] if reason != "unchanged" else ""))
    for identity, known in ledger.items():
        if identity in present or (known["account_id"], known["region"]) not in complete:
            continue
        is_pending = known["record_state"] == "ARCHIVED" and known["status"] != "sent"
        if known["maybe_stored"] and (known["record_state"] == "ACTIVE" or is_pending):
            document = previous.get(identity) or closing_document(known)
            actions.append(_action(known, known, "archived", snapshot_date, document))
    return sorted(actions, key=lambda action: (action.account_id, action.region, action.finding_id))


def absent(finding_ids: Collection[str], ledger: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Ids that Security Hub may hold as ACTIVE and that are not among today's: what `plan` wants the last documents of."""
    return sorted(identity for identity, row in ledger.items() if row["maybe_stored"] and identity not in finding_ids)


def _reason(
    finding: Mapping[str, Any], known: Mapping[str, Any] | None, today: date, heartbeat_days: int, now: datetime
) -> Reason:
    if known is None or not known["maybe_stored"]:
        return "new"
    if known["record_state"] == "ARCHIVED":
        return "reopened"
    if known["content_hash"] != finding["content_hash"]:
        return "changed"
    if known["status"] != "sent":  # failed, denied or without a hub since: what it holds is not certain
        return known["reason"] if known["reason"] in ("new", "changed", "heartbeat", "reopened") else "changed"
    del today
    return "heartbeat" if now - known["published_at"] >= timedelta(days=heartbeat_days) else "unchanged"


def _action(
    row: Mapping[str, Any], known: Mapping[str, Any] | None, reason: Reason, snapshot_date: date, document: str
) -> Action:
    return Action(
        account_id=row["account_id"],
        region=row["region"],
        resource_id=row["resource_id"],
        finding_id=row["finding_id"],
        content_hash=row["content_hash"],
        severity=row["severity"],
        reason=reason,
        snapshot_date=snapshot_date,
        document=document,
        created_at=known["created_at"] if known else None,
        updated_at=known["updated_at"] if known else None,
    )
