"""A cap on the new findings of an account and night, so that a first scan floods no hub: the worst are told, the rest
stands in one finding about the account and is told on the nights after. All pure.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from ecs_exposure.schemas.results import SEVERITIES, severity_rank
from ecs_exposure.securityhub.asff import GENERATOR_ID, account_finding
from ecs_exposure.securityhub.ledger import ACCOUNT_RESOURCE, Target, is_known


@dataclass(frozen=True)
class HeldBack:
    """What is told tonight, and of what is not the count by severity, per account and Region."""

    findings: list[Mapping[str, Any]]
    counts: dict[Target, Counter[str]]


def hold_back(
    findings: Iterable[Mapping[str, Any]], ledger: Mapping[str, Mapping[str, Any]], *, most: int, snapshot_date: date
) -> HeldBack:
    """Keep all findings that Security Hub may know or was told once, and of the new ones of each account at most
    `most`, those told earlier this day counted in: by severity, then score, then finding_id.

    findings: rows with account_id, region, finding_id, severity, score; all of each account.
    """
    told_today = Counter(
        known["account_id"]
        for known in ledger.values()
        if known["reason"] == "new" and known["snapshot_date"] == snapshot_date and is_known(known)
    )
    kept: list[Mapping[str, Any]] = []
    new: dict[str, list[Mapping[str, Any]]] = {}
    for finding in findings:
        known = ledger.get(finding["finding_id"])
        if is_known(known) or (known is not None and "found" in known):
            kept.append(finding)
        else:
            new.setdefault(finding["account_id"], []).append(finding)
    counts: dict[Target, Counter[str]] = {}
    for account_id, mine in new.items():
        mine.sort(key=lambda row: (severity_rank(row["severity"]), -row["score"], row["finding_id"]))
        room = max(0, most - told_today[account_id])
        kept += mine[:room]
        for finding in mine[room:]:
            counts.setdefault((account_id, finding["region"]), Counter())[finding["severity"]] += 1
    return HeldBack(kept, counts)


def summary(
    target: Target, counts: Mapping[str, int], snapshot_date: date, partition: str
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The finding that stands for those held back, as a row for `ledger.plan`, and as told to Security Hub."""
    account_id, region = target
    worst = next(severity for severity in SEVERITIES if counts.get(severity))
    listed = ", ".join(f"{counts[severity]} {severity}" for severity in SEVERITIES if counts.get(severity))
    row = {
        "account_id": account_id,
        "region": region,
        "resource_id": f"{ACCOUNT_RESOURCE}{account_id}",
        "finding_id": f"{GENERATOR_ID}/{partition}/{account_id}/{region}/held-back",
        "content_hash": hashlib.sha256(json.dumps(dict(counts), sort_keys=True).encode()).hexdigest(),
        "severity": worst,
        "first_observed_date": snapshot_date,
    }
    total = sum(counts.values())
    told = account_finding(
        row,
        partition,
        title=f"{total} more exposed ECS services are not told yet",
        description=(
            f"So many findings are new in this account that only the worst were told so far. Still to come from this "
            f"Region, the worst first, on the nights after: {listed}. All stand in the scanner's lake today."
        ),
    )
    return row, told
