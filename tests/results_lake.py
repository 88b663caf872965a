"""Rows of result tables with defaults, and lakes made of them: where the tests of command line and trends start."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from ecs_exposure.lake import Lake
from ecs_exposure.schemas.results import RESULTS

Row = dict[str, Any]

ALPHA, BETA, GAMMA = "111111111111", "222222222222", "333333333333"
NAMES = {ALPHA: "shop-prod", BETA: "data-prod", GAMMA: "sandbox"}
UNITS = {ALPHA: "/workloads/prod", BETA: "/workloads/prod", GAMMA: "/sandbox"}
BANDS = {"CRITICAL": 95.0, "HIGH": 80.0, "MEDIUM": 50.0, "LOW": 20.0, "INFORMATIONAL": 0.0}


def arn(service: str, account: str = ALPHA, region: str = "eu-west-1", cluster: str = "main") -> str:
    return f"arn:aws:ecs:{region}:{account}:service/{cluster}/{service}"


def _service(service: str, account: str, region: str, cluster: str) -> Row:
    return {"account_id": account, "region": region, "resource_id": arn(service, account, region, cluster)}


def _names(service: str, account: str, cluster: str, owner: str | None) -> Row:
    return {
        "cluster_name": cluster,
        "service_name": service,
        "account_name": NAMES.get(account),
        "ou_path": UNITS.get(account),
        "owner": owner,
    }


def exposure(
    service: str,
    severity: str = "HIGH",
    *,
    day: date,
    account: str = ALPHA,
    region: str = "eu-west-1",
    cluster: str = "main",
    owner: str | None = "team-a",
    **more: Any,
) -> Row:
    driver = None if severity == "INFORMATIONAL" else "open_security_group"
    return {
        **_service(service, account, region, cluster),
        **_names(service, account, cluster, owner),
        "severity": severity,
        "likelihood": "Moderate" if driver else None,
        "impact": "High",
        "driver": driver,
        "driver_rule": "configuration likelihood: exposed" if driver else None,
        "impact_reason": "the task role administers the account",
        "score": BANDS[severity],
        "reachability": "DIRECT",
        "is_exposed": True,
        "is_minimum": False,
        "traits": ["open_security_group", "public_ip"],
        "unknown_traits": [],
        "vulnerability_count": 3,
        "high_priority_vulnerability_count": 0,
        "is_dormant": False,
        "is_carried": False,
        "observed_date": day,
        "first_observed_date": day,
        "due_date": None if severity == "INFORMATIONAL" else day,
        "title": f"{service} is exposed",
        "launch_type": "FARGATE",
        "task_definition_arns": [f"arn:aws:ecs:{region}:{account}:task-definition/{service}:1"],
    } | more


def trait_hit(
    service: str,
    trait: str,
    *,
    day: date,
    account: str = ALPHA,
    region: str = "eu-west-1",
    cluster: str = "main",
    **more: Any,
) -> Row:
    return {
        **_service(service, account, region, cluster),
        "trait": trait,
        "category": "Misconfiguration",
        "state": "hit",
        "evidence": '[{"group":"sg-1","ports":"443"}]',
        "is_carried": False,
        "observed_date": day,
    } | more


def change(
    service: str,
    kind: str,
    *,
    before: str | None = None,
    after: str | None = None,
    opened: date | None = None,
    account: str = ALPHA,
    region: str = "eu-west-1",
    cluster: str = "main",
    owner: str | None = "team-a",
    **more: Any,
) -> Row:
    return {
        **_service(service, account, region, cluster),
        **_names(service, account, cluster, owner),
        "change": kind,
        "cause": "estate",
        "severity_before": before,
        "severity_after": after,
        "traits_added": [],
        "traits_removed": [],
        "opened_date": opened,
    } | more


def lifecycle(
    service: str, *, opened: date | None, first: date, last: date, account: str = ALPHA, region: str = "eu-west-1"
) -> Row:
    return {
        **_service(service, account, region, "main"),
        "first_observed_date": first,
        "last_observed_date": last,
        "opened_date": opened,
    }


def coverage(
    account: str = ALPHA,
    status: str = "ok",
    *,
    day: date,
    region: str = "eu-west-1",
    dataset: str = "service",
    message: str | None = None,
    **more: Any,
) -> Row:
    seen = status == "ok"
    return {
        "account_id": account,
        "region": region,
        "dataset": dataset,
        "status": status,
        "rows": 1 if seen else None,
        "api_calls": 1,
        "message": message,
        "collected_at": datetime(day.year, day.month, day.day, 2, tzinfo=UTC),
        "observed_date": day if seen else None,
    } | more


def driver(
    service: str,
    name: str,
    rank: int,
    severity: str = "HIGH",
    *,
    account: str = ALPHA,
    region: str = "eu-west-1",
    **more: Any,
) -> Row:
    return {
        **_service(service, account, region, "main"),
        "driver": name,
        "kind": "configuration",
        "likelihood": "Moderate",
        "impact": "High",
        "severity": severity,
        "rule": "configuration likelihood (configuration_likelihood.csv)",
        "inputs": '{"is_exposed":true}',
        "rank": rank,
    } | more


def fix(
    service: str,
    description: str,
    *,
    before: str = "HIGH",
    after: str = "LOW",
    rank: int = 1,
    removed: str = "public_ip",
    kind: str = "trait",
    account: str = ALPHA,
    region: str = "eu-west-1",
    **more: Any,
) -> Row:
    return {
        **_service(service, account, region, "main"),
        "removed_kind": kind,
        "removed": removed,
        "description": description,
        "severity_before": before,
        "severity_after": after,
        "score_before": BANDS[before],
        "score_after": BANDS[after],
        "rank": rank,
    } | more


def publication(
    service: str, status: str = "sent", *, at: datetime, account: str = ALPHA, region: str = "eu-west-1", **more: Any
) -> Row:
    resource = arn(service, account, region)
    return {
        **_service(service, account, region, "main"),
        "snapshot_date": at.date(),
        "finding_id": f"ecs-exposure/{resource}",
        "content_hash": "hash-1",
        "severity": "HIGH",
        "record_state": "ACTIVE",
        "status": status,
        "reason": "new",
        "created_at": at,
        "updated_at": at,
        "published_at": at,
    } | more


def finding(service: str, *, account: str = ALPHA, region: str = "eu-west-1", **more: Any) -> Row:
    resource = arn(service, account, region)
    return {
        **_service(service, account, region, "main"),
        "finding_id": f"ecs-exposure/{resource}",
        "content_hash": "hash-1",
        "severity": "HIGH",
    } | more


def read_back(lake: Lake, day: date, suppressed: Iterable[Row]) -> None:
    """Security Hub was read back that day where the services of some rows are; their findings were suppressed."""
    at = datetime(day.year, day.month, day.day, 4, tzinfo=UTC)
    rows = list(suppressed)
    places = {(row["account_id"], row["region"]) for row in rows}
    readings = [
        {"snapshot_date": day, "account_id": account, "region": region, "status": "ok", "findings": 1, "read_at": at}
        for account, region in sorted(places)
    ]
    decisions = [
        {
            "snapshot_date": day, **{name: row[name] for name in ("account_id", "region", "resource_id", "finding_id")},
            "workflow_status": "SUPPRESSED", "severity_told": row["severity"], "severity_shown": "LOW", "read_at": at,
        }
        for row in rows
    ]  # fmt: skip
    lake.append("reconciliation", day, "read", RESULTS["reconciliation"].to_arrow(readings))
    lake.append("customer_decision", day, "read", RESULTS["customer_decision"].to_arrow(decisions))


def commit(lake: Lake, day: date, tables: Mapping[str, Iterable[Row]], run: str = "run-1") -> None:
    """Make one assessed day of the rows; a day without coverage rows gets one complete target."""
    tables = {"coverage": [coverage(day=day)], **tables}
    arrow = [
        (name, RESULTS[name].to_arrow([{"snapshot_date": day, **row} for row in rows])) for name, rows in tables.items()
    ]
    lake.commit_day(day, run, "rules-1", arrow)


def new_lake(folder: Path) -> Lake:
    return Lake.open(str(folder / "lake"), create=True)
