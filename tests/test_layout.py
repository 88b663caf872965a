"""The layout holds: dependencies point one way, DAG files are thin, no file speaks of where it was written."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PRODUCT = ROOT / "plugins" / "ecs_exposure"


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{path}: absolute imports only (Airflow's plugin loader)"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def under(folder: Path, *forbidden: str) -> list[str]:
    return [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in sorted(folder.rglob("*.py"))
        for name in imports(path)
        if any(name == word or name.startswith(f"{word}.") for word in forbidden)
    ]


def test_the_product_knows_neither_airflow_nor_the_embedded_aws() -> None:
    assert under(PRODUCT, "airflow", "ecs_exposure_airflow", "embedded_aws", "moto") == []


@pytest.mark.parametrize(
    ("part", "others"),
    [
        ("schemas", ("aws", "databases", "lake", "models", "collectors", "securityhub", "settings")),
        ("collectors", ("databases", "lake", "models", "securityhub", "gate", "expectations", "scan")),
        ("securityhub", ("databases", "lake", "models", "collectors", "gate", "expectations", "scan")),
    ],
)
def test_siblings_do_not_import_each_other(part: str, others: tuple[str, ...]) -> None:
    assert under(PRODUCT / part, *(f"ecs_exposure.{name}" for name in others)) == []


def test_dags_call_only_the_adapter_and_stay_thin() -> None:
    assert under(ROOT / "dags", "ecs_exposure", "boto3", "duckdb") == []
    for path in (ROOT / "dags").glob("*.py"):
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 80, path


def test_secrets_and_state_are_not_in_the_repository() -> None:
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.splitlines()
    assert not [name for name in listed if name == ".env" or name.startswith((".state/", ".venv/", "lake/"))]
