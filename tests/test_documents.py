"""The generated documents are current: they say what the declarations say."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import duckdb
from ecs_exposure.databases import create_empty
from ecs_exposure.environment import env_file
from ecs_exposure.schemas.dictionary import data_dictionary, duckdb_type
from ecs_exposure.schemas.results import RESULTS
from ecs_exposure.schemas.snapshots import SNAPSHOTS
from ecs_exposure.settings import PREFIX, Settings, load

ROOT = Path(__file__).parents[1]


def test_the_data_dictionary_is_current() -> None:
    current = (ROOT / "docs" / "data-dictionary.md").read_text(encoding="utf-8")
    assert current == data_dictionary(), "run: python -m ecs_exposure.schemas.dictionary > docs/data-dictionary.md"


def test_the_data_dictionary_names_types_as_duckdb_does() -> None:
    connection = duckdb.connect(":memory:")
    create_empty(connection, "lake", RESULTS | SNAPSHOTS)
    for table in (RESULTS | SNAPSHOTS).values():
        told = [row[1] for row in connection.execute(f'describe lake."{table.name}"').fetchall()]
        assert [duckdb_type(column.type) for column in table.columns] == [text.replace('"', "") for text in told]


def test_the_example_environment_is_current() -> None:
    current = (ROOT / ".env.example").read_text(encoding="utf-8")
    assert current == env_file(), "run: ecs-exposure settings --example > .env.example"


def test_the_example_environment_holds_every_setting_and_changes_nothing(tmp_path: Path) -> None:
    """Uncommented and read by a shell, its values are the defaults."""
    names = re.findall(rf"^#({PREFIX}\w+)=", env_file(), re.MULTILINE)
    assert names == [PREFIX + name.upper() for name in Settings.model_fields]
    file = tmp_path / "env"
    file.write_text(re.sub(rf"^#({PREFIX})", r"\1", env_file(), flags=re.MULTILINE))
    told = subprocess.run(
        ["sh", "-c", f'set -a; . "{file}"; env'], capture_output=True, text=True, check=True, env={}
    ).stdout
    values = dict(line.split("=", 1) for line in told.splitlines() if line.startswith(PREFIX))
    assert load(**{name.removeprefix(PREFIX).lower(): value for name, value in values.items() if value}) == load()


def test_settings_in_force_never_show_a_secret() -> None:
    shown = env_file(load(external_id="open-sesame", fingerprint_key="key-of-keys", exclude_accounts="111111111111"))
    assert f"{PREFIX}EXCLUDE_ACCOUNTS=111111111111\n" in shown
    assert f"{PREFIX}EXTERNAL_ID=(set)\n" in shown
    assert "open-sesame" not in shown and "key-of-keys" not in shown
