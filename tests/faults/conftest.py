"""A small organisation of our own, served over real HTTP, in which one thing at a time goes wrong."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pytest
from ecs_exposure.lake import Lake
from ecs_exposure.settings import Settings, load
from embedded_aws import EmbeddedAws
from embedded_aws.organization import sample_settings

PLUGINS = Path(__file__).parents[2] / "plugins"
DAY = date(2026, 11, 2)
REGION = "eu-west-1"
ALPHA, BETA, GAMMA, DELTA = (f"{number}" * 12 for number in (2, 3, 4, 5))

ORGANIZATION = """
first_night: 2026-11-02
regions: [eu-west-1]
scanner:
  account: alpha
  read_role: ecs-exposure-read
  publish_role: ecs-exposure-publish
  organization_role: ecs-exposure-organization
  external_id: an-external-id
inspector_administrator: alpha
units: [Apps]
accounts:
  management: {id: "111111111111"}
  alpha: {id: "222222222222", unit: Apps}
  beta: {id: "333333333333", unit: Apps}
  gamma: {id: "444444444444", unit: Apps, security_hub_disabled: [eu-west-1]}
  delta: {id: "555555555555", unit: Apps, denies_from_night: 1}
"""
# Eleven services are two calls of DescribeServices: one may pass and the other die.
SERVICES = """
policies: {write-queue: [{Effect: Allow, Action: "sqs:SendMessage", Resource: "*"}]}
roles: {worker: {policies: [write-queue]}}
regions:
  eu-west-1:
    load_balancers: {front: {}}
    clusters: {main: {}}
    services:
      web: {cluster: main, image: "@alpha/web:1", port: 8080, behind: front, role: worker}
      open: {cluster: main, image: "@alpha/web:1", subnets: public, public_ip: true, groups: [public-web], port: 80}
      leaky: {cluster: main, image: "@alpha/web:1", environment: {DB_PASSWORD: made-up password}}
""" + "".join(f'      quiet-{number}: {{cluster: main, image: "@alpha/web:1"}}\n' for number in range(8))
IMAGES = """
cves:
  CVE-2021-44228:
    title: Log4Shell
    package: {name: log4j-core, version: 2.14.1, manager: JAR}
    vector: AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H
    score: 10.0
    severity: CRITICAL
    epss: 0.944
    exploit: true
    kev: 2021-12-10
    fixed: 2.17.1
images:
  alpha:
    eu-west-1:
      web: {"1": [CVE-2021-44228]}
"""


@pytest.fixture(scope="session")
def organization(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("organisation")
    (folder / "accounts").mkdir()
    (folder / "organization.yaml").write_text(ORGANIZATION)
    (folder / "images.yaml").write_text(IMAGES)
    for name in ("alpha", "beta", "gamma"):
        (folder / "accounts" / f"{name}.yaml").write_text(SERVICES)
    return folder


@contextmanager
def served(organization: Path) -> Iterator[EmbeddedAws]:
    """The organisation on a server of its own, with the environment that points a scan at it."""
    with EmbeddedAws(organization) as running, pytest.MonkeyPatch.context() as patch:
        for name, value in (sample_settings(organization) | running.environ()).items():
            patch.setenv(name, value)
        yield running


@pytest.fixture
def aws(organization: Path) -> Iterator[EmbeddedAws]:
    with served(organization) as running:
        yield running


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[Lake]:
    with Lake.open(str(tmp_path / "lake"), create=True) as opened:
        yield opened


@pytest.fixture
def settings(aws: EmbeddedAws, lake: Lake) -> Settings:
    return load(lake=lake.location, rate_share=1.0)


def results(lake: Lake, day: date, select: str) -> list[dict[str, Any]]:
    """Rows of a SELECT over `night.<table>` of one assessed day."""
    with duckdb.connect() as connection:
        lake.attach_results(connection, day, "night")
        rows: list[dict[str, Any]] = connection.sql(select).to_arrow_table().to_pylist()
        return rows


def coverage(lake: Lake, day: date, account: str, dataset: str, region: str = REGION) -> dict[str, Any]:
    (row,) = [
        row
        for row in lake.coverage(day).to_pylist()
        if (row["account_id"], row["region"], row["dataset"]) == (account, region, dataset)
    ]
    return row


def severities(lake: Lake, day: date) -> dict[str, str]:
    rows = results(lake, day, "select account_id, service_name, severity from night.exposure")
    return {f"{row['account_id']}/{row['service_name']}": row["severity"] for row in rows}


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything here is for `make test-faults`: whole scans that go wrong take their time."""
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.faults)
