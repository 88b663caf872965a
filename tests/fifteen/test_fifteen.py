"""Fifteen services one can argue about, from AWS's answers to the severity: collected, gated and assessed for real."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml
from ecs_exposure.cli import app
from ecs_exposure.lake import Lake
from ecs_exposure.scan import scan
from ecs_exposure.settings import load
from embedded_aws import EmbeddedAws
from embedded_aws.organization import sample_settings
from typer.testing import CliRunner

from tests.exposures.severity_by_hand import Service

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
EXPECTED: dict[str, dict[str, Any]] = yaml.safe_load((HERE / "expected.yaml").read_text(encoding="utf-8"))
FIRST = date(2026, 11, 2)
MANY = [f"CVE-2025-{20000 + number}" for number in range(400)]
FINGERPRINT_KEY = "a key for all nights"

Row = dict[str, Any]


@dataclass
class Scanned:
    """The lake after some nights, and what the hub then held."""

    organization: Path
    state: Path
    lake: Lake
    hub: list[Row]

    def night(self, number: int) -> None:
        with (
            EmbeddedAws(self.organization, night=number, state=self.state) as aws,
            pytest.MonkeyPatch.context() as patch,
        ):
            for name, value in (sample_settings(self.organization) | aws.environ()).items():
                patch.setenv(name, value)
            settings = load(lake=self.lake.location, fingerprint_key=FINGERPRINT_KEY, rate_share=1.0)
            scan(settings, self.lake, day(number))
            self.hub = aws.securityhub.findings()

    def exposures(self, number: int) -> dict[str, Row]:
        with duckdb.connect() as connection:
            self.lake.attach_results(connection, day(number), "night")
            rows = connection.sql("select * from night.exposure").to_arrow_table().to_pylist()
        return {row["service_name"]: row for row in rows}

    def explain(self, service: str, number: int = 1, form: str = "table") -> str:
        options = ["--lake", self.lake.location, "--date", str(day(number)), "--format", form]
        result = CliRunner().invoke(app, ["explain", service, *options])
        assert result.exit_code == 0, result.output
        return result.stdout


def day(number: int) -> date:
    return FIRST + timedelta(days=number - 1)


def written(folder: Path) -> Path:
    """The organisation with four hundred medium CVEs, and with the account `edge` refused EC2 from night 2 on."""
    shutil.copytree(HERE / "organization", folder)
    images = yaml.safe_load((folder / "images.yaml").read_text(encoding="utf-8"))
    medium = images["cves"]["CVE-2024-1135"] | {"epss": 0.01}
    for number, identity in enumerate(MANY):
        images["cves"][identity] = medium | {"package": {"name": f"lib{number % 40}", "version": "1.0"}}
    images["images"]["shop"]["eu-west-1"]["many"]["1"] = MANY
    (folder / "images.yaml").write_text(yaml.safe_dump(images), encoding="utf-8")
    organization = yaml.safe_load((folder / "organization.yaml").read_text(encoding="utf-8"))
    asked = re.findall(r"ec2:Describe\w+", (ROOT / "deploy" / "member-roles.yaml").read_text(encoding="utf-8"))
    organization["accounts"]["edge"]["denied_actions"] = dict.fromkeys(asked, 2)
    (folder / "organization.yaml").write_text(yaml.safe_dump(organization), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def scanned(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scanned]:
    """Scanned on nights 1 and 2."""
    folder = tmp_path_factory.mktemp("fifteen")
    with Lake.open(str(folder / "lake"), create=True) as lake:
        made = Scanned(written(folder / "organization"), folder / "aws", lake, [])
        made.night(1)
        made.night(2)
        yield made


@pytest.fixture(scope="module")
def exposures(scanned: Scanned) -> dict[str, Row]:
    return scanned.exposures(1)


def test_these_services_and_no_other(exposures: dict[str, Row]) -> None:
    assert exposures.keys() == EXPECTED.keys()


@pytest.mark.parametrize("service", EXPECTED)
def test_severity_and_what_it_comes_from(exposures: dict[str, Row], service: str) -> None:
    row, wanted = exposures[service], EXPECTED[service]
    for column in ("severity", "likelihood", "impact", "reachability"):
        assert row[column] == wanted[column], column
    if wanted["driver"] == "CVE":
        assert row["driver"] in MANY
    else:
        assert row["driver"] == wanted["driver"]
    assert (row["traits"], row["unknown_traits"], row["due_date"]) == (wanted["traits"], [], wanted["due"])
    assert row["is_minimum"] == wanted.get("is_minimum", False), row["minimum_reason"]
    assert (row["is_dormant"], row["is_carried"]) == (wanted.get("is_dormant", False), False)
    if "vulnerability_count" in wanted:
        assert row["vulnerability_count"] == wanted["vulnerability_count"]


@pytest.mark.parametrize("service", [name for name, wanted in EXPECTED.items() if "as" in wanted])
def test_what_must_not_matter_changes_nothing(exposures: dict[str, Row], service: str) -> None:
    row, twin = exposures[service], exposures[EXPECTED[service]["as"]]
    for column in ("severity", "likelihood", "impact", "driver", "driver_rule", "impact_reason", "due_date"):
        assert row[column] == twin[column], column
    assert row["score"] == twin["score"] or not EXPECTED[service].get("is_equal_in_score")


def test_one_likely_vulnerability_ranks_before_four_hundred_unlikely_ones(scanned: Scanned) -> None:
    options = ["show", "--lake", scanned.lake.location, "--date", str(FIRST), "--format", "json", "--severity", "LOW"]
    shown = CliRunner().invoke(app, options)
    names = [row["service_name"] for row in json.loads(shown.stdout)]
    assert names[0] == "one-likely" and "four-hundred" in names[1:]


def test_at_least_is_said_where_an_image_was_never_scanned(scanned: Scanned) -> None:
    page = " ".join(scanned.explain("never-scanned").split())
    assert page.startswith("≥ LOW") and "At least LOW the vulnerabilities of an image are not known" in page
    [finding] = [finding for finding in scanned.hub if "never-scanned" in finding["Title"]]
    assert "at least" in finding["Description"].lower()


def test_only_the_clean_service_is_no_finding(scanned: Scanned) -> None:
    told = {name for finding in scanned.hub for name in EXPECTED if f"service {name} in" in finding["Title"]}
    assert EXPECTED.keys() - told == {"clean-behind-a-balancer"}
    labels = {finding["Title"].split()[2]: finding["Severity"]["Label"] for finding in scanned.hub}
    assert labels == {name: wanted["severity"] for name, wanted in EXPECTED.items() if name in told}


def test_what_was_refused_today_stands_as_it_was_yesterday(scanned: Scanned) -> None:
    yesterday, today = scanned.exposures(1), scanned.exposures(2)
    stale = today.pop("refused-tomorrow")
    assert (stale["is_carried"], stale["observed_date"]) == (True, FIRST)
    for column in ("severity", "likelihood", "impact", "driver", "traits", "reachability", "due_date"):
        assert stale[column] == yesterday["refused-tomorrow"][column], column
    page = " ".join(scanned.explain("refused-tomorrow", 2).split())
    assert page.startswith("HIGH ↺") and f"Carried over {FIRST}" in page and "denied" in page
    assert not any(row["is_carried"] for row in today.values())
    for name, row in today.items():
        assert (row["severity"], row["due_date"]) == (yesterday[name]["severity"], yesterday[name]["due_date"]), name


@pytest.mark.faults
def test_the_same_after_four_hundred_days(scanned: Scanned) -> None:
    scanned.night(401)
    first, last = scanned.exposures(1), scanned.exposures(401)
    assert last.keys() == first.keys()
    for name, row in last.items():
        for column in ("severity", "likelihood", "impact", "traits", "due_date", "first_observed_date"):
            assert row[column] == first[name][column], (name, column)


@pytest.mark.parametrize("name", ["kev-admin", "kernel-admin", "nginx-on-debian", "four-hundred", "asleep"])
def test_an_explanation_is_enough_to_recompute_it(scanned: Scanned, name: str) -> None:
    told = json.loads(scanned.explain(name, form="json"))
    row, outcome = told["exposure"], Service(told).outcome()
    said = (row["severity"], row["likelihood"], row["impact"], row["driver"])
    assert said == (outcome.severity, outcome.likelihood, outcome.impact, outcome.driver)
    assert row["severity"] == EXPECTED[name]["severity"]
    assert row["score"] == pytest.approx(outcome.score, abs=1e-9)
