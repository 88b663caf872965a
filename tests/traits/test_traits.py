"""Every `<trait>.yaml` here: given rows, the services the trait must hit, and no other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.sql_harness import SQL, trait_rows

FOLDER = Path(__file__).parent
CASES = [
    pytest.param(path.stem, case, id=f"{path.stem}: {case['name']}")
    for path in sorted(FOLDER.glob("*.yaml"))
    for case in yaml.safe_load(path.read_text(encoding="utf-8"))
]


def _expanded(row: dict[str, Any]) -> dict[str, Any]:
    # `digest: aa` in a case stands for a whole digest.
    return {
        name: "sha256:" + value * 32 if name == "image_digest" and value and len(value) == 2 else value
        for name, value in row.items()
    }


@pytest.mark.parametrize(("trait", "case"), CASES)
def test_trait(trait: str, case: dict[str, Any]) -> None:
    given = {table: [_expanded(row) for row in rows] for table, rows in case["given"].items()}
    hits = trait_rows(trait, given, case.get("unseen"))
    assert sorted(hits) == case["hits"]
    for resource_id, expected in case.get("evidence", {}).items():
        shown = [{name: row.get(name) for name in expected[0]} for row in hits[resource_id]]
        assert sorted(shown, key=str) == sorted(expected, key=str)


def test_every_trait_has_its_cases_and_a_near_miss_among_them() -> None:
    traits = {path.stem for path in (SQL / "traits").glob("*.sql")}
    assert {path.stem for path in FOLDER.glob("*.yaml")} == traits
    for trait in traits:
        cases = yaml.safe_load((FOLDER / f"{trait}.yaml").read_text(encoding="utf-8"))
        assert any(case["hits"] for case in cases), trait
        assert any(not case["hits"] for case in cases), trait
