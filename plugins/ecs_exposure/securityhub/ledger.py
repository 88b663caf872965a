"""What Security Hub holds of ours (the ledger, folded from `publication`) and what it should be told tonight
(`plan`). All pure.

Sources: Security Hub user guide (a finding is deleted 90 days after its last update, 30 days when archived), API
reference of BatchImportFindings (an update needs a newer UpdatedAt; findings are told apart by Id).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal

from ecs_exposure.securityhub.asff import closing_document

Target = tuple[str, str]
"""(account_id, region)."""
Reason = Literal["new", "changed", "heartbeat", "archived", "reopened", "unchanged"]

# Failed with one of these, a finding is certainly not stored. After any other failure it may be: an answer can get
# lost.
REFUSED = frozenset({"InvalidInput", "InvalidInputException", "FindingSizeExceeded"})


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


def publications_fold(rows: Iterable[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """The ledger: per finding_id one row with the columns of `publication` that says what Security Hub holds.

    record_state, content_hash and severity are those last sent, status, reason and error those of the last attempt,
    created_at the first, updated_at and snapshot_date the highest ever tried. Beside them: `sent_date`, the day of
    the last row sent (NULL if none), and `is_maybe_stored`, whether any attempt can have reached Security Hub. Dry
    runs never count.
    """
    ledger: dict[str, dict[str, Any]] = {}
    for row in sorted(rows, key=lambda item: (item["published_at"], item["updated_at"])):
        if row["status"] == "dry_run":
            continue
        was_sent = row["status"] == "sent"
        maybe_stored = was_sent or (row["status"] == "failed" and row["error_code"] not in REFUSED)
        known = ledger.get(row["finding_id"])
        if known is None:
            sent_date = row["snapshot_date"] if was_sent else None
            ledger[row["finding_id"]] = {**row, "sent_date": sent_date, "is_maybe_stored": maybe_stored}
            continue
        for key in ("status", "reason", "error_code", "error_message", "published_at"):
            known[key] = row[key]
        if was_sent or known["sent_date"] is None:
            for key in ("record_state", "content_hash", "severity"):
                known[key] = row[key]
        if was_sent:
            known["sent_date"] = row["snapshot_date"]
        known["is_maybe_stored"] |= maybe_stored
        known["created_at"] = min(known["created_at"], row["created_at"])
        known["updated_at"] = max(known["updated_at"], row["updated_at"])
        known["snapshot_date"] = max(known["snapshot_date"], row["snapshot_date"])
    return ledger


def completely_seen(coverage: Iterable[Mapping[str, Any]]) -> set[Target]:
    """The (account, Region) of which every dataset was seen today, the account's `global` ones included, from
    `coverage` rows.

    `not_enabled` counts as seen: what was never switched on has shown nothing that could now be missing, and what was
    switched off the assessment carries over, so that it is not missing from its findings. ECS itself must have been
    seen.
    """
    services: set[Target] = set()
    seen: set[Target] = set()
    blind: set[Target] = set()
    for row in coverage:
        target = (row["account_id"], row["region"])
        if row["status"] not in ("ok", "not_enabled"):
            blind.add(target)
            continue
        seen.add(target)
        if row["dataset"] == "service" and row["status"] == "ok":
            services.add(target)
    return {target for target in services - blind if (target[0], "global") in seen - blind}


def absent(finding_ids: Collection[str], ledger: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Ids that Security Hub may show and that are not among today's: those whose last documents `plan` wants."""
    return sorted(
        identity for identity, known in ledger.items() if identity not in finding_ids and _is_to_be_archived(known)
    )


def plan(
    findings: Iterable[Mapping[str, Any]],
    ledger: Mapping[str, Mapping[str, Any]],
    complete: Collection[Target],
    *,
    document: Callable[[Mapping[str, Any]], str],
    snapshot_date: date,
    heartbeat_days: int,
    previous: Mapping[str, str] | None = None,
) -> list[Action]:
    """One action per finding of today (`unchanged` included) and per finding to archive, by account, Region and
    finding_id.

    findings: rows of the result table `finding`; *all* of every target named in `complete`, else the rest would be
    archived.
    ledger: `publications_fold` of those targets' publications.
    complete: the targets that were completely seen (`completely_seen`); only there is an absent finding archived.
    document: puts a row of `finding` in AWS's format (JSON without UpdatedAt); asked only for what is to be sent.
    previous: last documents of absent findings by finding_id (`absent` names them); without one a short closing
    document is sent.

    Raises PublishError for a day older than the last one published.
    """
    latest = max((known["snapshot_date"] for known in ledger.values()), default=snapshot_date)
    if latest > snapshot_date:
        raise PublishError(
            f"{snapshot_date} is older than {latest}, which was published already: Security Hub would go back in time. "
            "Publish the latest day; past days are reassessed, never published"
        )
    actions: dict[str, Action] = {}
    for finding in findings:
        known = ledger.get(finding["finding_id"])
        reason = _reason(finding, known, snapshot_date, heartbeat_days)
        text = "" if reason == "unchanged" else document(finding)
        actions[finding["finding_id"]] = _action(finding, known, reason, snapshot_date, text)
    for identity, known in ledger.items():
        is_complete = (known["account_id"], known["region"]) in complete
        if identity not in actions and is_complete and _is_to_be_archived(known):
            text = (previous or {}).get(identity) or closing_document(known)
            actions[identity] = _action(known, known, "archived", snapshot_date, text)
    return sorted(actions.values(), key=lambda action: (action.account_id, action.region, action.finding_id))


def _is_to_be_archived(known: Mapping[str, Any]) -> bool:
    """Whether an absent finding may stand ACTIVE in Security Hub: last sent so, or reopened by an attempt whose end
    is unknown.
    """
    is_uncertain = known["status"] == "failed" and known["error_code"] not in REFUSED
    return known["is_maybe_stored"] and (known["record_state"] == "ACTIVE" or is_uncertain)


def _reason(finding: Mapping[str, Any], known: Mapping[str, Any] | None, today: date, heartbeat_days: int) -> Reason:
    if known is None or not known["is_maybe_stored"] or known["sent_date"] is None:
        return "new"
    if known["record_state"] == "ARCHIVED":
        return "reopened"
    if known["content_hash"] != finding["content_hash"]:
        return "changed"
    if known["status"] != "sent":  # the last attempt did not arrive for certain: neither is what Security Hub holds
        return "heartbeat" if known["reason"] == "heartbeat" else "changed"
    return "heartbeat" if (today - known["sent_date"]).days >= heartbeat_days else "unchanged"


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
