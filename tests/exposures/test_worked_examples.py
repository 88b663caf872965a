"""Severity on worked examples, all in one database: `severity.yaml` says what each must come to, and by which rule."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.exposures.night import DAY, Night, Results, Row, assess, cve, day_after

WORKED = yaml.safe_load((Path(__file__).parent / "severity.yaml").read_text(encoding="utf-8"))
VECTORS: dict[str, str] = WORKED["vectors"]
CASES: dict[str, dict[str, Any]] = WORKED["cases"]


def options(case: dict[str, Any]) -> dict[str, Any]:
    made = {key: tuple(value) if isinstance(value, list) else value for key, value in case.items() if key != "expect"}
    made["mounts"] = tuple(map(tuple, made.get("mounts", ())))
    made["cves"] = tuple(
        cve(**item | {"vector": item["vector"] and VECTORS[item["vector"]]}) for item in made.get("cves", ())
    )
    return made


@pytest.fixture(scope="module")
def results() -> Results:
    night = Night()
    for name, case in CASES.items():
        night.service(name, **options(case))
    return assess(night)


@pytest.fixture(scope="module")
def exposures(results: Results) -> dict[str, Row]:
    return results.exposures()


@pytest.mark.parametrize("name", CASES)
def test_worked_example(exposures: dict[str, Row], name: str) -> None:
    row = exposures[name]
    for what, wanted in CASES[name]["expect"].items():
        match what, wanted:
            case "driver", "cve":
                assert row["driver"].startswith("CVE-"), row
            case "rule", _:
                assert wanted in row["driver_rule"], row
            case "reason", _:
                assert wanted in row["minimum_reason"], row
            case "because", _:
                assert wanted in row["impact_reason"], row
            case "trait", _:
                assert wanted in row["traits"], row
            case "due", _:
                assert row["due_date"] == (None if wanted is None else day_after(DAY, wanted)), row
            case "score", _:
                assert row["score"] == pytest.approx(wanted, abs=1e-3), row
            case "no_trait", _:
                assert wanted not in row["traits"], row
            case _:
                assert row[what] == wanted, (what, row)


def test_every_bod_outcome_is_told_exactly(exposures: dict[str, Row]) -> None:
    for name, case in CASES.items():
        if name.startswith("bod-"):
            rule = exposures[name]["driver_rule"]
            assert rule.removeprefix("CISA BOD 26-04: ").partition(";")[0] == case["expect"]["rule"], name


def test_scores_lie_in_the_band_of_the_severity(exposures: dict[str, Row]) -> None:
    bands = {"CRITICAL": (90, 100), "HIGH": (70, 89), "MEDIUM": (40, 69), "LOW": (1, 39), "INFORMATIONAL": (0, 0)}
    for name, row in exposures.items():
        low, high = bands[row["severity"]]
        assert low <= row["score"] <= high, name


def test_due_dates_follow_the_driver(exposures: dict[str, Row]) -> None:
    days = {"bod-0111": 3, "bod-0101": 14, "bod-0011": 60, "config-admin-role-exposed": 30, "credential-provider": 90}
    for name, wanted in days.items():
        assert exposures[name]["due_date"] == day_after(DAY, wanted), name
    assert exposures["matrix-low-low"]["due_date"] is None


def test_titles_are_sentences(exposures: dict[str, Row]) -> None:
    assert exposures["config-admin-role-alone"]["title"] == (
        "ECS service config-admin-role-alone in cluster main has effective administration by the task role at high "
        "impact"
    )
    assert exposures["config-balancer-alone"]["title"] == (
        "ECS service config-balancer-alone in cluster main, reachable from the internet through a load balancer,"
        " has traits that drive no severity"
    )
    assert exposures["bod-0111"]["title"].startswith(
        "ECS service bod-0111 in cluster main, directly reachable from the internet, runs an image with CVE-"
    )


def test_scores_order_by_highest_p_then_likely_ones_then_all_together() -> None:
    night = Night()
    night.service("many", public=True, cves=tuple(cve(vector=VECTORS["manual partial"], epss=0.01) for _ in range(400)))
    night.service("one", public=True, cves=(cve(epss=0.9),))
    night.service("and-a-likely", public=True, cves=(cve(epss=0.9), cve(epss=0.2)))
    night.service("and-two-unlikely", public=True, cves=(cve(epss=0.9), cve(epss=0.06), cve(epss=0.06)))
    night.service("and-an-unlikely", public=True, cves=(cve(epss=0.9), cve(epss=0.06)))
    night.service("kev", public=True, cves=(cve(epss=0.0001, kev=True),))
    exposures = assess(night).exposures()
    ordered = sorted(exposures, key=lambda name: -exposures[name]["score"])
    assert ordered == ["kev", "and-a-likely", "and-two-unlikely", "and-an-unlikely", "one", "many"]
    assert exposures["many"]["vulnerability_count"] == 400
    assert exposures["and-a-likely"]["exploit_probability"] == 0.92


def test_likely_ones_count_up_to_ninety_nine() -> None:
    night = Night()
    for count in (9, 10, 99, 100, 101):
        # Local ones, so that the third criterion says nothing.
        night.service(
            f"likely-{count}",
            role="admin",
            cves=tuple(cve(vector=VECTORS["local total"], epss=0.1) for _ in range(count)),
        )
    night.service(
        "unlikely-ones-more",
        role="admin",
        cves=tuple(cve(vector=VECTORS["local total"], epss=epss) for epss in [0.1] * 9 + [0.09] * 50),
    )
    score = {name: row["score"] for name, row in assess(night).exposures().items()}
    assert score["likely-9"] < score["likely-10"] < score["likely-99"] == score["likely-100"] == score["likely-101"]
    assert score["unlikely-ones-more"] == score["likely-9"]


def test_a_dip_or_a_gap_of_epss_changes_nothing_for_seven_days() -> None:
    severities = []
    before = None
    for number, epss in {0: 0.6, 1: 0.0, 3: None, 6: 0.0, 7: 0.0}.items():
        night = Night(day=day_after(DAY, number))
        night.service("dip", public=True, cves=(cve(epss=epss),))
        before = assess(night, before)
        severities.append(before.exposures()["dip"]["severity"])
    assert severities == ["HIGH"] * 4 + ["LOW"]


def test_an_epss_of_any_image_counts_at_once() -> None:
    night = Night()
    night.service("told", public=True, cves=(cve(id="CVE-2026-1", epss=0.6),))
    night.service("not-told", public=True, cves=(cve(id="CVE-2026-1", epss=None),))
    night.service("rising", public=True, cves=(cve(id="CVE-2026-2", epss=0.0),))
    before = assess(night)
    assert {name: row["severity"] for name, row in before.exposures().items()} == {
        "told": "HIGH", "not-told": "HIGH", "rising": "LOW",
    }  # fmt: skip
    tomorrow = Night(day=day_after(DAY))
    tomorrow.service("rising", public=True, cves=(cve(id="CVE-2026-2", epss=0.6),))
    assert assess(tomorrow, before).exposures()["rising"]["severity"] == "HIGH"


def test_a_vector_and_an_exploit_of_any_image_count_at_once_and_so_not_tomorrow_only() -> None:
    def night(day: date) -> Night:
        made = Night(day=day)
        made.service("told", public=True, cves=(cve(id="CVE-2026-1", epss=0.05, exploit=True),))
        silent = cve(id="CVE-2026-1", epss=0.05, vector=None, exploit=None, severity="LOW")
        made.service("not-told", public=True, cves=(silent,))
        return made

    before = assess(night(DAY))
    assert {row["likelihood"] for row in before.exposures().values()} == {"Very High"}
    assert assess(night(day_after(DAY)), before).rows("change") == []
