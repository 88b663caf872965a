"""What Amazon Inspector answered about vulnerabilities, and when it is asked again.

BatchGetFindingDetails tells the same for every finding of a vulnerability and changes seldom, so an answer serves for
a week, in all accounts and Regions; "nothing known" is an answer too. Each vulnerability has its own night of the
week, so that no night asks for all. The few that CISA's catalogue is most likely to take in next, with a public
exploit or a high EPSS but not in it yet, are asked about every night.

What the week costs: for all others that were in the estate before, an entry in the catalogue, or a first observed
exploitation, is seen up to seven days after Inspector knows of it; a new vulnerability is asked about the night it
appears. A local copy of CISA's catalogue takes that delay away.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from ecs_exposure.collectors.base import Row

WEEK = 7
HIGH_EPSS = 0.10
"""The same line as `epss_likely` of sql/reference/exploitability.csv; it decides here only how often is asked."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer: the day it was given, the Region that keeps it fresh, and the columns of vulnerability_detail."""

    asked_date: date
    region: str
    columns: Row


Answers = Mapping[str, Answer]
"""Answers by vulnerability id."""


def is_likely(exploit_available: bool | None, epss: float | None) -> bool:
    """Whether a vulnerability is one that CISA's catalogue may well take in."""
    return bool(exploit_available) or (epss is not None and epss >= HIGH_EPSS)


def is_due(vulnerability_id: str, answer: Answer | None, day: date, region: str, *, likely: bool = False) -> bool:
    """Whether a Region asks about a vulnerability on a day: nothing is stored, what is stored is a week old, or it is
    the vulnerability's night (every night for a likely one outside the catalogue) and this Region's turn: one asks,
    the others take its answer over the next night.
    """
    if answer is None:
        return True
    age = (day - answer.asked_date).days
    if age < 0 or age >= WEEK:
        return True
    if likely and not answer.columns.get("is_kev"):
        return age > 0 and region == answer.region
    is_its_night = zlib.crc32(vulnerability_id.encode("utf-8", "replace")) % WEEK == day.toordinal() % WEEK
    return age > 0 and is_its_night and region == answer.region
