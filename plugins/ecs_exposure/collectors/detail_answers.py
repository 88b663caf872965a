"""What Amazon Inspector answered about vulnerabilities, and when it is asked again.

BatchGetFindingDetails tells the same for every finding of a vulnerability and changes seldom, so an answer serves for
a week, in all accounts and Regions; "nothing known" is an answer too. Each vulnerability has its own night of the
week, so that no night asks for all.

What the week costs: an entry in CISA's catalogue, or a first observed exploitation, is seen up to seven days after
Inspector knows of it, for a vulnerability that was in the estate before; a new one is asked about the night it
appears. A local copy of CISA's catalogue takes that delay away.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from ecs_exposure.collectors.base import Row

WEEK = 7


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer: the day it was given, the Region that keeps it fresh, and the columns of vulnerability_detail."""

    asked_date: date
    region: str
    columns: Row


Answers = Mapping[str, Answer]
"""Answers by vulnerability id."""


def is_due(vulnerability_id: str, answer: Answer | None, day: date, region: str) -> bool:
    """Whether a Region asks about a vulnerability on a day: nothing is stored, what is stored is a week old, or it is
    the vulnerability's own night and this Region's turn (others take the answer over the next night).
    """
    if answer is None:
        return True
    age = (day - answer.asked_date).days
    if age < 0 or age >= WEEK:
        return True
    is_its_night = zlib.crc32(vulnerability_id.encode("utf-8", "replace")) % WEEK == day.toordinal() % WEEK
    return age > 0 and is_its_night and region == answer.region
