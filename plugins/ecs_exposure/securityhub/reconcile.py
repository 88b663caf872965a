"""Reading back what Security Hub holds of ours, and correcting the ledger by it.

Only findings of our generator under the account's default product are read, and of them only those the ledger knows
are ours to correct: other tools import under that product too. Source: API reference of GetFindings.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from ecs_exposure.securityhub.asff import GENERATOR_ID, checksum, product_arn
from ecs_exposure.securityhub.ledger import Target

PAGE = 100


@dataclass(frozen=True)
class Stored:
    """A finding as Security Hub holds it: what tells whether it is as it was told, and what the customer made of it.

    `updated_at` is None when it is no moment. `is_sealed`: it still has the checksum of what it says.
    """

    finding_id: str
    record_state: str
    updated_at: datetime | None
    is_sealed: bool
    severity_told: str | None
    severity_shown: str | None
    workflow_status: str


@dataclass(frozen=True)
class Reconciled:
    """The corrected ledger, rows of `customer_decision`, and the row of `reconciliation`."""

    ledger: dict[str, dict[str, Any]]
    decisions: list[dict[str, Any]]
    reconciliation: dict[str, Any]


def read_back(client: Any, account_id: str, region: str, partition: str) -> Iterator[Stored]:
    """All findings of ours that Security Hub holds in an account and Region; `client` is its boto3 client there.

    Raises AWS's errors as boto3 does.
    """
    pages = client.get_paginator("get_findings").paginate(
        Filters={
            "GeneratorId": [{"Value": GENERATOR_ID, "Comparison": "EQUALS"}],
            "ProductArn": [{"Value": product_arn(account_id, region, partition), "Comparison": "EQUALS"}],
        },
        PaginationConfig={"PageSize": PAGE},
    )
    for page in pages:
        yield from map(_stored, page["Findings"])


def _stored(finding: Mapping[str, Any]) -> Stored:
    try:
        updated_at = datetime.fromisoformat(finding["UpdatedAt"])
    except ValueError:
        updated_at = None
    return Stored(
        finding_id=finding["Id"],
        record_state=finding["RecordState"],
        updated_at=updated_at if updated_at and updated_at.tzinfo else None,
        is_sealed=finding.get("ProductFields", {}).get("checksum") == checksum(finding),
        severity_told=finding.get("FindingProviderFields", {}).get("Severity", {}).get("Label"),
        severity_shown=finding.get("Severity", {}).get("Label"),
        workflow_status=finding.get("Workflow", {}).get("Status", "NEW"),
    )


def reconcile(
    target: Target,
    ledger: Mapping[str, Mapping[str, Any]],
    stored: Iterable[Stored],
    *,
    snapshot_date: date,
    read_at: datetime,
) -> Reconciled:
    """Correct a target's ledger (of it alone) by what is stored there.

    A corrected row has `found`: `missing` (was told, is not held) or `altered` (no longer says what it was told to
    say, or is not in the state it was told), and its updated_at is not older than what is stored. Findings that the
    ledger does not know are counted and left alone.
    """
    held = {item.finding_id: item for item in stored}
    corrected = {identity: dict(known) for identity, known in ledger.items()}
    decisions = []
    counts = dict.fromkeys(("findings", "missing", "altered", "unclaimed", "suppressed", "overridden"), 0)
    for identity, known in corrected.items():
        item = held.pop(identity, None)
        if item is None:
            # An archived finding is deleted by AWS in time, and one that never arrived is not missed.
            if known["sent_date"] is not None and known["record_state"] == "ACTIVE":
                known |= {"found": "missing", "sent_date": None, "is_maybe_stored": False, "status": "sent"}
                counts["missing"] += 1
            continue
        counts["findings"] += 1
        known["is_maybe_stored"] = True
        if known["status"] == "sent" and not _is_as_told(known, item):
            known["found"] = "altered"
            counts["altered"] += 1
        known["record_state"] = item.record_state
        known["updated_at"] = max(known["updated_at"], item.updated_at or known["updated_at"])
        is_overridden = item.severity_shown != item.severity_told
        if item.workflow_status != "NEW" or is_overridden:
            decisions.append(
                {
                    "snapshot_date": snapshot_date,
                    **{name: known[name] for name in ("account_id", "region", "resource_id", "finding_id")},
                    "workflow_status": item.workflow_status,
                    "severity_told": item.severity_told,
                    "severity_shown": item.severity_shown,
                    "read_at": read_at,
                }
            )
        counts["suppressed"] += item.workflow_status == "SUPPRESSED"
        counts["overridden"] += is_overridden
    counts["unclaimed"] = len(held)
    row = {
        "snapshot_date": snapshot_date,
        "account_id": target[0],
        "region": target[1],
        "status": "ok",
        **counts,
        "read_at": read_at,
    }
    return Reconciled(corrected, decisions, row)


def _is_as_told(known: Mapping[str, Any], item: Stored) -> bool:
    return (
        item.is_sealed
        and item.record_state == known["record_state"]
        and item.updated_at == known["updated_at"]
        and item.severity_told == known["severity"]
    )
