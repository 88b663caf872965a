"""What reading back makes of the ledger."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from ecs_exposure.securityhub.asff import to_asff
from ecs_exposure.securityhub.reconcile import Reconciled, Stored, read_back, reconcile
from embedded_aws import EmbeddedAws

from tests.securityhub.rows import ACCOUNT, REGION, row

TOLD = datetime(2026, 11, 1, 3, tzinfo=UTC)
KNOWN: dict[str, Any] = {
    "account_id": ACCOUNT, "region": REGION, "resource_id": row()["resource_id"], "finding_id": "f", "severity": "HIGH",
    "record_state": "ACTIVE", "status": "sent", "updated_at": TOLD, "sent_date": TOLD.date(), "is_maybe_stored": True,
}  # fmt: skip
AS_TOLD = Stored(
    "f", "ACTIVE", TOLD, is_sealed=True, severity_told="HIGH", severity_shown="HIGH", workflow_status="NEW"
)


def read(*stored: Stored, **known: Any) -> Reconciled:
    return reconcile(
        (ACCOUNT, REGION),
        {"f": KNOWN | known},
        stored,
        snapshot_date=date(2026, 11, 2),
        read_at=TOLD + timedelta(days=1),
    )


def test_what_is_held_as_it_was_told_changes_nothing() -> None:
    told = read(AS_TOLD)
    assert told.ledger == {"f": KNOWN}
    assert (told.reconciliation["findings"], told.reconciliation["altered"], told.decisions) == (1, 0, [])


@pytest.mark.parametrize(
    "changes",
    [
        {"is_sealed": False},
        {"record_state": "ARCHIVED"},
        {"severity_told": "LOW"},
        {"updated_at": TOLD + timedelta(milliseconds=1)},
        {"updated_at": TOLD - timedelta(days=1)},
        {"updated_at": None},
    ],
    ids=["says something else", "archived", "severity", "told later", "never updated", "no moment"],
)
def test_each_single_deviation_is_an_alteration(changes: dict[str, Any]) -> None:
    told = read(replace(AS_TOLD, **changes))
    assert told.reconciliation["altered"] == 1
    assert told.ledger["f"]["found"] == "altered"
    assert told.ledger["f"]["updated_at"] >= TOLD


def test_what_was_not_told_for_certain_may_be_held_otherwise() -> None:
    told = read(replace(AS_TOLD, updated_at=TOLD + timedelta(days=1)), status="sending")
    assert told.reconciliation["altered"] == 0
    assert told.ledger["f"]["updated_at"] == TOLD + timedelta(days=1)


def test_an_archived_finding_that_aws_deleted_is_not_missed() -> None:
    assert read(record_state="ARCHIVED").reconciliation["missing"] == 0
    assert read().ledger["f"]["found"] == "missing"


def test_a_finding_vouches_for_itself(aws: EmbeddedAws) -> None:
    aws.securityhub.enable(ACCOUNT, REGION)
    client = aws.client("securityhub", ACCOUNT, REGION)
    moment = {"UpdatedAt": "2026-11-01T03:00:00.000Z"}
    whole, other = (to_asff(row(name), "aws") | moment for name in ("whole", "other"))
    assert client.batch_import_findings(Findings=[whole, other | {"Title": "All is well"}])["FailedCount"] == 0
    found = {item.finding_id.rpartition("/")[2]: item for item in read_back(client, ACCOUNT, REGION, "aws")}
    assert {name: item.is_sealed for name, item in found.items()} == {"whole": True, "other": False}
    assert found["whole"].updated_at == TOLD
