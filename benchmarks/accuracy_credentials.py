"""Credentials: labelled (name, value) pairs of public task definitions, through the detector as the collector calls it.

Reads env_labels.csv (id, name, value, label, ambiguous). Only unambiguous pairs are scored; a placeholder counts as no
credential. Pairs are named by id and variable name, never by value.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from judged import Judged

TRAIT = "cleartext_credentials"


def judge(data: Path) -> Iterator[Judged]:
    """One judged case a pair, and each again in its half by the id: rules tuned on one half must hold on the other."""
    from ecs_exposure.collectors.credentials import judge as detect

    with open(data / "env_labels.csv", encoding="utf-8", newline="") as file:
        pairs = [row for row in csv.DictReader(file) if row["ambiguous"] == "0"]
    judged = []
    for row in pairs:
        found = detect(row["name"], row["value"])
        why = found.detector if found else f"labelled {row['label']}"
        judged.append(
            Judged(
                TRAIT, f"{row['id']} {row['name'].strip()[:60]}", row["label"] == "credential", found is not None, why
            )
        )
    yield from judged
    for row, item in zip(pairs, judged, strict=True):
        half = "even" if int(row["id"], 16) % 2 == 0 else "odd"
        yield Judged(f"{TRAIT}, {half} ids", item.case, item.expected, item.found, item.why)
