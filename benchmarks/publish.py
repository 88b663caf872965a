"""Publishing many changed findings: requests, their rate, and memory of the publishing process.

    PYTHONPATH=plugins:examples python benchmarks/publish.py [--findings 10000] [--check]

Writes two assessed days (not measured) whose findings all differ, a tenth of them near 200 KB, and says in the ledger
that the first was told. Then the second is published at the shipped rate, over HTTP, to a Security Hub that enforces
AWS's rates and maxima: first all of one account and Region, then as many over 50 accounts and 2 Regions.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from measured import Limits, in_child, usage

MAX_MIB = 300
MORE_REQUESTS = 0.05  # than the least possible
PUBLISHED_RATE = 10  # BatchImportFindings, requests a second in an account and Region
RATE = (0.4, 0.5)
BEFORE, DAY = date(2026, 11, 22), date(2026, 11, 23)
LARGE = 10  # one finding of so many is large
WIDE = "漢" * 2000  # of evidence: six bytes a character


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--findings", type=int, default=10_000)
    parser.add_argument("--check", action="store_true", help="exit 1 when a limit is missed")
    parser.add_argument("--job", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.job:
        return _child(json.loads(arguments.job))
    from rich.console import Console
    from rich.table import Table

    limits = Limits()
    table = Table(
        "findings", "places", "MB sent", "requests", "least", "a second", "throttled", "wall", "CPU", "peak RSS"
    )
    for accounts, regions in ((1, ["eu-west-1"]), (50, ["eu-west-1", "us-east-1"])):
        run = _run(arguments.findings, accounts, regions)
        name = f"{accounts} account(s)"
        least = run["least"]
        table.add_row(
            f"{run['sent']:,}", f"{accounts * len(regions):,}", f"{run['bytes'] / 1e6:,.0f}",
            limits.note(f"{name}: requests", run["requests"], least * (1 + MORE_REQUESTS), ""), f"{least:,}",
            _rate(limits, name, run["rate"], is_held=accounts == 1),
            limits.note(f"{name}: throttled", run["throttled"], 0, ""),
            f"{run['wall']:.0f} s", f"{run['cpu']:.0f} s", limits.note(f"{name}: memory", run["rss"], MAX_MIB, "MiB"),
        )  # fmt: skip
    console = Console(width=None if sys.stdout.isatty() else 140)
    console.print(table)
    for what in limits.missed:
        console.print(f"[red]missed: {what}[/red]")
    return 1 if arguments.check and limits.missed else 0


def _rate(limits: Limits, name: str, rate: float, *, is_held: bool) -> str:
    """Requests a second in the busiest place; with many places each has too little to send to hold a rate."""
    if is_held and rate < RATE[0] * PUBLISHED_RATE:
        limits.missed.append(f"{name}: {rate:.2f} requests a second, at least {RATE[0] * PUBLISHED_RATE:g}")
    return limits.note(f"{name}: requests a second", rate, RATE[1] * PUBLISHED_RATE * 1.01, "")


def _run(findings: int, accounts: int, regions: list[str]) -> dict[str, Any]:
    from embedded_aws import EmbeddedAws

    places = [(f"{700000000000 + number}", region) for number in range(accounts) for region in regions]
    with tempfile.TemporaryDirectory() as folder, EmbeddedAws() as aws:
        for place in places:
            aws.securityhub.enable(*place)
        _write(Path(folder), findings, places)
        run = in_child(__file__, {"lake": folder, "regions": regions}, os.environ | aws.environ())
        asked = [entry for entry in aws.log if entry.action == "securityhub:BatchImportFindings"]
        stored = aws.securityhub.findings()
    assert run["sent"] == len(stored) == findings, (run, len(stored))
    sizes: dict[tuple[str, str], list[int]] = {}
    for finding in stored:
        sent = {name: value for name, value in finding.items() if name not in ("ProcessedAt", "Workflow", "Severity")}
        sizes.setdefault((finding["AwsAccountId"], finding["Region"]), []).append(len(json.dumps(sent)))
    answered = [entry for entry in asked if entry.outcome == "ok"]
    by_place: dict[tuple[str, str], list[datetime]] = {}
    for entry in answered:
        by_place.setdefault((entry.account_id, entry.region), []).append(entry.at)
    rates = [
        (len(moments) - 1) / seconds
        for moments in by_place.values()
        if (seconds := (max(moments) - min(moments)).total_seconds()) > 0
    ]
    return run | {
        "requests": len(asked),
        "throttled": len(asked) - len(answered),
        "rate": max(rates, default=0.0),
        "bytes": sum(map(sum, sizes.values())),
        "least": sum(max(-(-len(mine) // 100), -(-sum(mine) // 6_000_000)) for mine in sizes.values()),
    }


def _write(folder: Path, findings: int, places: list[tuple[str, str]]) -> None:
    """Two assessed days, and the first one's findings as told."""
    from ecs_exposure.lake import Lake
    from ecs_exposure.schemas.results import RESULTS

    with Lake.open(str(folder), create=True) as lake:
        for day in (BEFORE, DAY):
            tables = _tables(day, findings, places)
            lake.commit_day(day, f"run-{day}", "rules", ((name, RESULTS[name].to_arrow(rows)) for name, rows in tables))
        moment = datetime(2026, 11, 22, 3, tzinfo=UTC)
        told = [
            {
                **_key(BEFORE, number, places), **_finding(BEFORE, number, places), "record_state": "ACTIVE",
                "status": "sent", "reason": "new", "created_at": moment, "updated_at": moment, "published_at": moment,
            }
            for number in range(findings)
        ]  # fmt: skip
        lake.append("publication", BEFORE, "told", RESULTS["publication"].to_arrow(told))


def _key(day: date, number: int, places: list[tuple[str, str]]) -> dict[str, Any]:
    account, region = places[number % len(places)]
    return {
        "snapshot_date": day, "account_id": account, "region": region,
        "resource_id": f"arn:aws:ecs:{region}:{account}:service/main/service-{number}",
    }  # fmt: skip


def _finding(day: date, number: int, places: list[tuple[str, str]]) -> dict[str, Any]:
    account, region = places[number % len(places)]
    return {
        "finding_id": f"ecs-exposure/aws/{account}/{region}/main/service-{number}",
        "content_hash": f"{(number * 2654435761) % 2**32:08x}-{day}", "severity": "HIGH",
    }  # fmt: skip


def _tables(day: date, findings: int, places: list[tuple[str, str]]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    keys = [_key(day, number, places) for number in range(findings)]
    yield "exposure", [
        key | {
            "severity": "HIGH", "likelihood": "High", "impact": "Medium", "driver": "open_security_group",
            "score": 80.0, "reachability": "DIRECT", "is_exposed": True, "is_minimum": False, "is_dormant": False,
            "traits": ["open_security_group"], "unknown_traits": [], "is_carried": False, "observed_date": day,
            "first_observed_date": BEFORE, "due_date": DAY, "title": "A service is exposed", "cluster_name": "main",
            "service_name": key["resource_id"].rpartition("/")[2], "owner": "payments", "launch_type": "FARGATE",
            "task_definition_arns": [],
        }
        for key in keys
    ]  # fmt: skip
    yield "finding", [key | _finding(day, number, places) for number, key in enumerate(keys)]
    yield "trait_hit", [
        key | {
            "trait": f"trait_{trait:02}", "category": "Misconfiguration", "state": "hit", "is_carried": False,
            "observed_date": day, "evidence": json.dumps([{"container": "web", "where": where}], ensure_ascii=False),
        }
        for number, key in enumerate(keys)
        for is_large in [number // len(places) % LARGE == 0]
        for where in [WIDE if is_large else "path " * 60]
        for trait in range(15 if is_large else 6)
    ]  # fmt: skip
    yield "service_image", [
        key | {
            "container_name": "web", "image": f"{key['account_id']}.dkr.ecr.{key['region']}.amazonaws.com/shop:1",
            "image_digest": f"sha256:{number:064x}", "is_running": True, "registry_account": key["account_id"],
            "registry_region": key["region"], "repository_name": "shop", "scan_status": "scanned",
            "is_carried": False, "observed_date": day,
        }
        for number, key in enumerate(keys)
    ]  # fmt: skip
    yield "image_vulnerability", [
        {
            "snapshot_date": day, "registry_account": key["account_id"], "region": key["region"],
            "repository_name": "shop", "image_digest": f"sha256:{number:064x}",
            "vulnerability_id": f"CVE-2026-{cve:04}", "package_name": "openssl", "installed_version": "3.0.1",
            "fixed_in_version": "3.0.8", "fix_command": "apt-get update && apt-get upgrade openssl", "epss": 0.1,
            "probability": 0.1, "cvss_base_score": 9.8, "cvss_vector": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H",
            "is_network_exploitable": True, "is_kernel_package": False, "is_malicious_package": False,
            "high_priority": True, "is_suppressed": False, "decision_source": "vector", "is_carried": False,
            "observed_date": day,
        }
        for number, key in enumerate(keys)
        for cve in range(20)
    ]  # fmt: skip
    moment = datetime(day.year, day.month, day.day, 2, tzinfo=UTC)
    yield "coverage", [
        {
            "snapshot_date": day, "account_id": account, "region": region, "dataset": dataset, "status": "ok",
            "rows": 1, "api_calls": 1, "collected_at": moment, "observed_date": day,
        }
        for account, region, dataset in sorted(
            {(account, region, "service") for account, region in places}
            | {(account, "global", name) for account, _ in places for name in ("role", "account")}
        )
    ]  # fmt: skip


def _child(job: dict[str, Any]) -> int:
    from ecs_exposure import scan
    from ecs_exposure.lake import Lake
    from ecs_exposure.settings import load

    settings = load(lake=job["lake"], regions=tuple(job["regions"]), publish="on")
    with Lake.open(job["lake"]) as lake:
        outcome = scan.publish(settings, lake, DAY)
    print(json.dumps(usage() | {"sent": outcome["sent"]}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
