"""One refused call over real HTTP: coverage says so, what it would have told is UNKNOWN, and nothing gets lower."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pytest
from ecs_exposure.lake import Lake
from ecs_exposure.scan import scan
from ecs_exposure.settings import load
from embedded_aws import EmbeddedAws
from embedded_aws.organization import first_night, sample_settings

pytestmark = pytest.mark.faults


SAMPLE = Path(__file__).parents[2] / "examples" / "sample_org"
STOREFRONT = "333333333333"
LEVELS = ["INFORMATIONAL", "LOW", "MEDIUM", "HIGH", "CRITICAL"]
Told = dict[str, dict[str, Any]]


def scanned(folder: Path, monkeypatch: pytest.MonkeyPatch, *refused: tuple[str, str]) -> tuple[Told, dict[str, str]]:
    """The storefront's exposures by service, and its coverage by dataset, when these calls are refused there."""
    with EmbeddedAws(SAMPLE) as aws, Lake.open(str(folder), create=True) as lake:
        for name, value in (sample_settings(SAMPLE) | aws.environ()).items():
            monkeypatch.setenv(name, value)
        for service, operation in refused:
            aws.fault(service=service, operation=operation, account_id=STOREFRONT, code="AccessDenied", status=403)
        scan(load(lake=lake.location, publish="off"), lake, first_night(SAMPLE))
        connection = duckdb.connect()
        lake.attach_results(connection, first_night(SAMPLE), "night")
        where = f"where account_id = '{STOREFRONT}'"
        rows = connection.sql(f"select * from night.exposure {where}").to_arrow_table().to_pylist()
        coverage = connection.sql(f"select dataset, min(status) from night.coverage {where} group by all").fetchall()
    return {row["service_name"]: row for row in rows}, dict(coverage)


def test_a_refused_call_is_coverage_and_unknown_and_lowers_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen, _ = scanned(tmp_path / "seen", monkeypatch)
    hidden, coverage = scanned(
        tmp_path / "hidden", monkeypatch, ("cloudfront", "ListVpcOrigins"), ("ec2", "DescribeNetworkAcls")
    )
    assert (coverage["vpc_origin"], coverage["network_acl_entry"]) == ("denied", "denied")
    assert seen["returns-portal"]["reachability"] == "VIA_LOAD_BALANCER"
    assert hidden["returns-portal"]["reachability"] == "UNKNOWN"
    assert "internet_reachable" in hidden["returns-portal"]["unknown_traits"]
    # The way to the port is closed by the very list that was refused.
    assert (seen["stock-feed"]["reachability"], hidden["stock-feed"]["reachability"]) == ("NOT_REACHABLE", "UNKNOWN")
    assert {name: row["reachability"] for name, row in hidden.items() if not row["is_minimum"]} == {
        name: row["reachability"] for name, row in seen.items() if not hidden[name]["is_minimum"]
    }
    for name, row in seen.items():
        assert LEVELS.index(hidden[name]["severity"]) >= LEVELS.index(row["severity"]), name
