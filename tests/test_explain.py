"""The steps of an explanation lead from what was seen to the severity shown, whatever moved it on the way."""

from __future__ import annotations

import io
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from ecs_exposure.explain_page import print_explanation
from ecs_exposure.explanation import Explanation, Rules
from ecs_exposure.schemas.results import IMPACTS, LIKELIHOODS, REACHABILITIES, SEVERITIES
from ecs_exposure.severity_steps import pairs, severity_steps
from hypothesis import given
from hypothesis import strategies as st

from tests.exposures.night import Night, assess, cve, day_after
from tests.exposures.told import assembled
from tests.results_lake import driver, exposure

SQL = Path(__file__).parents[1] / "sql"
DAY = date(2026, 11, 23)


RULES = Rules.load(SQL)
BLANK = {"minimum_reason": None, "highest_probability": None, "observed_date": DAY}


def steps(severity: str, **more: Any) -> dict[str, tuple[str, str]]:
    inputs = more.pop("inputs", {})
    row = BLANK | exposure("api", severity, day=DAY, **more)
    drivers = [driver("api", row["driver"], 1) | {"inputs": inputs}] if row["driver"] else []
    return {step["step"]: (step["result"], step["because"]) for step in severity_steps(row, drivers, RULES.tables)}


def test_the_matrix_alone_decides_the_plain_case() -> None:
    told = steps(
        "HIGH",
        likelihood="Moderate",
        impact="High",
        inputs={"is_exposed": True, "trait": "open_security_group", "condition": ""},
    )
    assert list(told) == ["Exposed", "Driver", "Likelihood", "Impact", "Severity", "Score", "Due"]
    assert told["Severity"] == ("HIGH", "AWS's matrix: likelihood Moderate × impact High")
    assert told["Likelihood"][1] == "a security group open to the internet: Moderate when exposed, else Low"


@pytest.mark.parametrize(
    ("row", "step", "result", "because"),
    [
        (
            {"severity": "MEDIUM", "likelihood": "Very High", "impact": "High", "is_dormant": True},
            "Dormant",
            "MEDIUM",
            "nothing runs",
        ),
        (
            {"severity": "LOW", "likelihood": "Low", "impact": "High", "inputs": {"severity_cap": "LOW"}},
            "Capped",
            "LOW",
            "at most LOW",
        ),
        (
            {"severity": "HIGH", "likelihood": "Low", "impact": "Low", "is_minimum": True},
            "Kept",
            "HIGH",
            "lowers nothing",
        ),
        (
            {"severity": "CRITICAL", "likelihood": "Very High", "impact": "Unknown"},
            "Severity",
            "CRITICAL",
            "could not be determined",
        ),
        ({"severity": "INFORMATIONAL"}, "Severity", "INFORMATIONAL", "not published"),
        (
            {"severity": "LOW", "likelihood": "Low", "impact": "Medium", "is_carried": True},
            "Carried over",
            str(DAY),
            "not seen today",
        ),
    ],
)
def test_what_moves_a_severity_is_said(row: dict[str, Any], step: str, result: str, because: str) -> None:
    told = steps(**row)
    assert told[step][0] == result
    assert because in told[step][1]


@given(
    st.sampled_from(SEVERITIES),
    st.sampled_from(LIKELIHOODS),
    st.sampled_from(IMPACTS),
    st.sampled_from(REACHABILITIES),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)
def test_the_last_severity_told_is_the_one_shown(
    severity: str, likelihood: str, impact: str, reachability: str, is_dormant: bool, is_minimum: bool, is_carried: bool
) -> None:
    flags = {"is_dormant": is_dormant, "is_minimum": is_minimum, "is_carried": is_carried, "reachability": reachability}
    if severity != "INFORMATIONAL":
        flags["likelihood"] = likelihood
    told = steps(severity, impact=impact, **flags)
    assert [result for result, _ in told.values() if result in SEVERITIES][-1] == severity
    assert ("At least" in told) == is_minimum and ("Carried over" in told) == is_carried


def test_long_lists_of_evidence_are_shortened_and_say_so() -> None:
    told = pairs({"vulnerabilities": [f"CVE-2026-{number}" for number in range(200)], "empty": None})
    assert told.endswith("CVE-2026-4 … and 195 more") and "empty" not in told


@pytest.fixture(scope="module")
def told() -> dict[str, Explanation]:
    night = Night()
    night.service(
        "shop",
        public=True,
        role="admin",
        credential="generic",
        cves=(
            cve(id="CVE-2026-1", epss=0.4, exploit=True),
            cve(id="CVE-2026-2", epss=0.02),
            cve(id="CVE-2026-3", epss=0.97, kev=True, status="SUPPRESSED"),
            cve(id="CVE-2026-4", epss=0.97, kev=True, packages=("linux-libc-dev",)),
        ),
    )
    night.service("waits", balancer="internet-facing", cves=(cve(id="CVE-2026-5", epss=0.02),))
    likely = {"vulnerability_id": "CVE-2026-1", "lev": 0.8125, "lev_from": DAY, "kev_date_added": None, "tools": ["x"]}
    return assembled(assess(night), known=[likely])


def page(explanation: Explanation) -> str:
    out = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "240")  # so that no sentence is folded
        print_explanation(explanation, out)
    return " ".join(out.getvalue().split())


def test_the_steps_of_a_vulnerability_name_cisas_answer_the_evidence_and_the_sources(
    told: dict[str, Explanation],
) -> None:
    steps = {step["step"]: step for step in told["shop"].steps}
    assert list(steps) == [
        "Exposed", "Driver", "Outcome", "Evidence", "Likelihood", "Impact", "Severity", "Score", "Due",
    ]  # fmt: skip
    asked = {"kev": False, "is_exposed": True, "automatable": True, "technical_impact": "total"}
    assert (steps["Outcome"]["result"], steps["Outcome"]["inputs"]) == ("3 days", asked)
    assert steps["Evidence"]["because"] == "exploitation is likely: EPSS 0.4 (from 0.10)"
    assert {row["impact"] for row in steps["Impact"]["inputs"]["reasons"]} == {"High", "Medium"}
    assert steps["Score"]["inputs"]["likely_count"] == 1
    assert all(steps[name]["source"] for name in ("Outcome", "Evidence", "Likelihood", "Severity", "Score", "Due"))
    waits = {step["step"]: step for step in told["waits"].steps}
    assert waits["Evidence"]["result"] == "none" and "not in KEV, EPSS 0.02" in waits["Evidence"]["because"]


def test_what_is_suppressed_is_shown_apart_and_kernel_packages_are_said_to_count_nothing(
    told: dict[str, Explanation],
) -> None:
    shop = told["shop"]
    assert [row["vulnerability_id"] for row in shop.suppressed] == ["CVE-2026-3"]
    assert [row["vulnerability_id"] for row in shop.vulnerabilities] == ["CVE-2026-1", "CVE-2026-4", "CVE-2026-2"]
    assert [row["counts"] for row in shop.vulnerabilities] == [True, False, True]
    text = page(shop)
    assert "Worst vulnerabilities (3 of 3)" in text and "kernel package: counts nothing" in text
    _, _, apart = text.partition("Suppressed in Amazon Inspector (they count nothing) (1 of 1)")
    assert apart.startswith(" CVE-2026-3")
    assert "Suppressed" not in page(told["waits"])


def test_lev_is_shown_beside_its_vulnerability_and_said_to_decide_nothing(told: dict[str, Explanation]) -> None:
    assert "LEV 0.812" in page(told["shop"]) and "shown, never decisive" in page(told["shop"])
    assert told["shop"].vulnerabilities[0]["lev"] == 0.8125
    assert "LEV" not in page(told["waits"])


def test_each_reason_for_the_impact_is_told_with_what_would_take_it_away(told: dict[str, Explanation]) -> None:
    text = page(told["shop"])
    assert "the task role allows administration gone without administrative_access_policy" in text
    assert "cleartext credentials gone without cleartext_credentials" in text
    assert "docs/severity.md" in text


def test_every_decision_table_comes_with_its_source(told: dict[str, Explanation]) -> None:
    for name, table in told["shop"].rules.items():
        assert table["rows"] and table["source"], name
    assert {row["name"] for row in told["shop"].rules["exploitability"]["rows"]} >= {"epss_likely", "epss_with_exploit"}


def test_a_severity_that_is_kept_says_what_was_seen_today_alone() -> None:
    yesterday = Night()
    yesterday.service("shop", role="admin")
    before = assess(yesterday)
    night = Night(day=day_after(yesterday.day))
    night.service("shop", role="scoped")
    night.unseen("task", since=yesterday.day)
    steps = {step["step"]: step for step in assembled(assess(night, before))["shop"].steps}
    assert steps["Kept"]["result"] == "MEDIUM"
    assert steps["Kept"]["inputs"] == {"today": "INFORMATIONAL"}
    assert "what was seen today alone would be INFORMATIONAL" in steps["Kept"]["because"]
    assert steps["Carried over"]["result"] == str(yesterday.day)
