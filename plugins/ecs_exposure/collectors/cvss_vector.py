"""CVSS vectors as Inspector hands them over: which one counts, and its metrics in CVSS 3's words."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from cvss import CVSS2, CVSS3, CVSS4, CVSSError

COLUMNS = (
    "attack_vector",
    "attack_complexity",
    "privileges_required",
    "user_interaction",
    "confidentiality_impact",
    "integrity_impact",
    "availability_impact",
)
_VECTOR = {"N": "NETWORK", "A": "ADJACENT", "L": "LOCAL", "P": "PHYSICAL"}
_LEVEL = {"N": "NONE", "L": "LOW", "H": "HIGH"}
_LEVEL_2 = {"N": "NONE", "P": "LOW", "C": "HIGH"}


def choose(scores: Iterable[Mapping[str, Any]], source: str | None) -> dict[str, Any]:
    """The vector that counts among a finding's scores, as columns of image_finding; all NULL when none can be read.

    Order: CVSS 3.x before 4 before 2 (3.x is what most CVEs carry, so they stay comparable); within a version NVD's,
    then the finding's own source's, then others; of equals the worse score, so that the order they come in does not
    matter. A vector that does not parse is passed over. A base score is a number of 0 to 10, or one written as text;
    anything else is unknown.
    """
    ranked = sorted(scores, key=lambda score: _rank(score, source))
    for score in ranked:
        metrics = parse(str(score.get("scoringVector") or ""))
        if metrics is not None:
            return {
                "cvss_vector": str(score["scoringVector"]),
                "cvss_base_score": _base_score(score.get("baseScore")),
                "cvss_source": None if score.get("source") is None else str(score["source"]),
                **metrics,
            }
    return dict.fromkeys(("cvss_vector", "cvss_base_score", "cvss_source", *COLUMNS))


def _rank(score: Mapping[str, Any], source: str | None) -> tuple[int, int, float, str]:
    vector = str(score.get("scoringVector") or "")
    version = 1 if vector.startswith("CVSS:4") else 0 if vector.startswith("CVSS:3") else 2
    given_by = str(score.get("source") or "")
    closeness = 0 if given_by.startswith("NVD") else 1 if source and given_by == source else 2
    return version, closeness, -(_base_score(score.get("baseScore")) or 0.0), vector


def _base_score(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        score = float(value)
    except (ValueError, OverflowError):
        return None
    return score if math.isfinite(score) and 0 <= score <= 10 else None


@lru_cache(maxsize=16_384)  # an estate's findings share some thousand vectors, and the library takes its time
def parse(vector: str) -> dict[str, str | None] | None:
    """Metrics of a vector in CVSS 3's words, or None for one that is no CVSS vector.

    CVSS 4: complexity is HIGH when AC or AT says so, any interaction is REQUIRED, impact is the vulnerable system's.
    CVSS 2: medium complexity is HIGH, authentication stands for privileges, user interaction is not told (NULL).
    """
    try:
        if vector.startswith("CVSS:3"):
            return _version_3(CVSS3(vector).metrics)
        if vector.startswith("CVSS:4"):
            return _version_4(CVSS4(vector).metrics)
        return _version_2(CVSS2(vector.strip("()")).metrics)
    except CVSSError:
        return None


def _version_3(metrics: Mapping[str, str]) -> dict[str, str | None]:
    return _columns(
        _VECTOR[metrics["AV"]],
        _LEVEL[metrics["AC"]],
        _LEVEL[metrics["PR"]],
        "NONE" if metrics["UI"] == "N" else "REQUIRED",
        *(_LEVEL[metrics[name]] for name in ("C", "I", "A")),
    )


def _version_4(metrics: Mapping[str, str]) -> dict[str, str | None]:
    return _columns(
        _VECTOR[metrics["AV"]],
        "HIGH" if metrics["AC"] == "H" or metrics["AT"] == "P" else "LOW",
        _LEVEL[metrics["PR"]],
        "NONE" if metrics["UI"] == "N" else "REQUIRED",
        *(_LEVEL[metrics[name]] for name in ("VC", "VI", "VA")),
    )


def _version_2(metrics: Mapping[str, str]) -> dict[str, str | None]:
    return _columns(
        _VECTOR[metrics["AV"]],
        "LOW" if metrics["AC"] == "L" else "HIGH",
        {"N": "NONE", "S": "LOW", "M": "HIGH"}[metrics["Au"]],
        None,
        *(_LEVEL_2[metrics[name]] for name in ("C", "I", "A")),
    )


def _columns(*values: str | None) -> dict[str, str | None]:
    return dict(zip(COLUMNS, values, strict=True))
