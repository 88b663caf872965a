"""The steps of an explanation lead from what was seen to the severity shown, whatever moved it on the way."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import pytest
from ecs_exposure.explanation import Rules
from ecs_exposure.schemas.results import IMPACTS, LIKELIHOODS, REACHABILITIES, SEVERITIES
from ecs_exposure.severity_steps import pairs, severity_steps
from hypothesis import given
from hypothesis import strategies as st

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
    told = steps("HIGH", likelihood="Moderate", impact="High", inputs={"is_exposed": True})
    assert list(told) == ["Exposed", "Driver", "Likelihood", "Impact", "Severity", "Score", "Due"]
    assert told["Severity"] == ("HIGH", "AWS's matrix: likelihood Moderate × impact High")
    assert "is_exposed yes" in told["Likelihood"][1]


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
