"""What Security Hub holds of ours (the ledger, folded from `publication`) and what it should be told tonight
(`plan`). All pure.

Sources: Security Hub user guide (a finding is deleted 90 days after its last update, 30 days when archived), API
reference of BatchImportFindings (an update needs a newer UpdatedAt; findings are told apart by Id).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Any, Literal, cast

Target = tuple[str, str]
"""(account_id, region)."""
RecordState = Literal["ACTIVE", "ARCHIVED"]
Reason = Literal["new", "changed", "heartbeat", "archived", "reopened", "missing", "altered", "unchanged"]
"""Why a finding is sent. `missing` and `altered`: Security Hub was read back and does not hold what it was told."""

ACCOUNT_RESOURCE = "AWS::::Account:"
"""What the resource_id of a finding about a whole account begins with (Security Hub's identifier of an AwsAccount)."""

# Failed with one of these, a finding is certainly not stored. After any other failure it may be: an answer can get
# lost.
REFUSED = frozenset({"InvalidInput", "InvalidInputException", "FindingSizeExceeded"})


class PublishError(RuntimeError):
    """Publishing must not go on, or did not do what it was there for; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Action:
    """One finding to send, or (reason `unchanged`) to leave alone.

    `created_at` is when it began: what was said of it once stays said. `updated_at`, NULL for a finding never tried, is
    what the next UpdatedAt must be newer than. `told_date` is the day whose results tell what it says: today, and for
    what is archived the day it was last sent on.
    """

    account_id: str
    region: str
    resource_id: str
    finding_id: str
    content_hash: str
    severity: str | None
    reason: Reason
    record_state: RecordState
    snapshot_date: date
    created_at: datetime
    updated_at: datetime | None
    told_date: date

    @property
    def target(self) -> Target:
        return self.account_id, self.region


def publications_fold(
    rows: Iterable[Mapping[str, Any]], before: Iterable[Mapping[str, Any]] = ()
) -> dict[str, dict[str, Any]]:
    """The ledger: per finding_id one row with the columns of `publication` that says what Security Hub holds.

    rows: of `publication`, those of each finding in the order in which they were made (published_at).

    record_state, content_hash and severity are those last sent, status, reason and error those of the last attempt,
    created_at the first, updated_at and snapshot_date the highest ever tried. Beside them: `sent_date`, the day of
    the last row sent (NULL if none), and `is_maybe_stored`, whether any attempt before the last can have reached
    Security Hub, or the last if it ended. Dry runs never count. An attempt left at `sending` was cut off.

    `before` is an earlier fold; rows that it holds already change nothing.
    """
    ledger: dict[str, dict[str, Any]] = {row["finding_id"]: dict(row) for row in before}
    for row in rows:
        if row["status"] == "dry_run":
            continue
        known = ledger.get(row["finding_id"])
        if known is None:
            known = {**row, "sent_date": None, "is_maybe_stored": False}
            ledger[row["finding_id"]] = known
        elif known["status"] == row["status"] == "sending" and known["published_at"] < row["published_at"]:
            known["is_maybe_stored"] = True  # the attempt announced before was never heard of again
        was_sent = row["status"] == "sent"
        for key in ("status", "reason", "error_code", "error_message", "published_at"):
            known[key] = row[key]
        if was_sent or known["sent_date"] is None:
            for key in ("record_state", "content_hash", "severity"):
                known[key] = row[key]
        if was_sent:
            known["sent_date"] = row["snapshot_date"]
        known["is_maybe_stored"] |= was_sent or _failed_uncertainly(row)
        known["created_at"] = min(known["created_at"], row["created_at"])
        known["updated_at"] = max(known["updated_at"], row["updated_at"])
        known["snapshot_date"] = max(known["snapshot_date"], row["snapshot_date"])
    return ledger


def _failed_uncertainly(row: Mapping[str, Any]) -> bool:
    """Whether an attempt failed, and nobody knows whether it was stored all the same."""
    return row["status"] == "failed" and row["error_code"] not in REFUSED


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


def plan(
    findings: Iterable[Mapping[str, Any]],
    ledger: Mapping[str, Mapping[str, Any]],
    complete: Collection[Target],
    *,
    snapshot_date: date,
    heartbeat_days: int,
) -> list[Action]:
    """One action per finding of today (`unchanged` included) and per finding to archive, by account, Region and
    finding_id.

    findings: rows of the result table `finding` with the first_observed_date of their exposures; *all* of every target
    named in `complete`, else the rest would be archived.
    ledger: `publications_fold` of those targets' publications.
    complete: the targets that were completely seen (`completely_seen`), and those that left the organisation; only
    there is an absent finding archived. One about a whole account rests on no sight, and is archived whenever absent.

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
        actions[finding["finding_id"]] = _action(finding, known, reason, snapshot_date)
    for identity, known in ledger.items():
        is_complete = (known["account_id"], known["region"]) in complete
        is_decided = is_complete or known["resource_id"].startswith(ACCOUNT_RESOURCE)
        if identity not in actions and is_decided and _is_to_be_archived(known):
            actions[identity] = _action(known, known, "archived", snapshot_date)
    return sorted(actions.values(), key=lambda action: (action.account_id, action.region, action.finding_id))


def is_known(known: Mapping[str, Any] | None) -> bool:
    """Whether Security Hub may hold the finding of a row of the ledger."""
    return known is not None and (known["is_maybe_stored"] or known["status"] == "sending")


def _is_to_be_archived(known: Mapping[str, Any]) -> bool:
    """Whether an absent finding may stand ACTIVE in Security Hub: last sent so, or reopened by an attempt whose end
    is unknown.
    """
    is_in_doubt = known["status"] == "sending" or _failed_uncertainly(known)
    return is_known(known) and (known["record_state"] == "ACTIVE" or is_in_doubt)


def _reason(finding: Mapping[str, Any], known: Mapping[str, Any] | None, today: date, heartbeat_days: int) -> Reason:
    if known and "found" in known:  # read back, and not as it was told (reconcile)
        return cast(Reason, known["found"])
    if known is None or known["sent_date"] is None:
        return "new"
    if known["record_state"] == "ARCHIVED":
        return "reopened"
    if known["content_hash"] != finding["content_hash"]:
        return "changed"
    if known["status"] != "sent":  # the last attempt did not arrive for certain: neither is what Security Hub holds
        return "heartbeat" if known["reason"] == "heartbeat" else "changed"
    return "heartbeat" if (today - known["sent_date"]).days >= heartbeat_days else "unchanged"


def _action(row: Mapping[str, Any], known: Mapping[str, Any] | None, reason: Reason, snapshot_date: date) -> Action:
    last_told = known and (known["sent_date"] or known["snapshot_date"])
    return Action(
        account_id=row["account_id"],
        region=row["region"],
        resource_id=row["resource_id"],
        finding_id=row["finding_id"],
        content_hash=row["content_hash"],
        severity=row["severity"],
        reason=reason,
        record_state="ARCHIVED" if reason == "archived" else "ACTIVE",
        snapshot_date=snapshot_date,
        created_at=known["created_at"] if known else datetime.combine(row["first_observed_date"], time(), UTC),
        updated_at=known["updated_at"] if known else None,
        told_date=last_told if last_told and reason == "archived" else snapshot_date,
    )
