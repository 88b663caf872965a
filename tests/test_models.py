"""The SQL runner: every shipped model compiles against typed, empty tables; wrong models are named."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from ecs_exposure import databases, models
from ecs_exposure.schemas.results import SQL_RESULTS

SQL = Path(__file__).parents[1] / "sql"


def test_every_model_compiles_and_gives_no_rows_from_no_rows() -> None:
    with databases.empty_database(SQL) as connection:
        made = models.build(connection, SQL)
        assert sorted(name.partition(".")[2] for name in made) == sorted(SQL_RESULTS)
        for name in made:
            assert connection.execute(f"select count(*) from {name}").fetchone() == (0,), name


def test_a_model_comes_after_what_it_reads() -> None:
    position = {model.name: number for number, model in enumerate(models.load(SQL))}
    for model in models.load(SQL):
        for name in model.reads & position.keys():
            assert position[name] < position[model.name], f"{model.name} runs before {name}"


def test_every_model_begins_by_saying_what_one_row_is() -> None:
    for model in models.load(SQL):
        assert model.path.read_text(encoding="utf-8").startswith("--"), model.path


def test_every_trait_has_a_text_security_hub_takes() -> None:
    texts = models.trait_texts(SQL)
    assert len({text.title for text in texts}) == len(texts)
    for text in texts:
        assert text.url.startswith("https://docs.aws.amazon.com/"), text.trait
        assert len(text.remediation) > 200, text.trait


def test_a_trait_that_awss_page_of_ecs_exposures_does_not_know_says_it_is_ours() -> None:
    for text in models.trait_texts(SQL):
        assert text.is_ours == ("/exposure-ecs-service.html" not in text.url), text.trait


@pytest.fixture
def sql(tmp_path: Path) -> Path:
    for folder in ("resources", "traits", "exposures", "reference"):
        (tmp_path / folder).mkdir()
    return tmp_path


def write(sql: Path, name: str, select: str) -> None:
    folder, _, stem = name.partition(".")
    (sql / folder / f"{stem}.sql").write_text(select, encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "select", "message"),
    [
        ("resources.a", "selec 1", "a.sql"),
        ("resources.a", "select 1; select 2", "exactly one SELECT"),
        ("resources.a", "select * from service", "write service with its folder"),
        ("resources.a", "select * from resources.nothing", "resources.nothing, which no model makes"),
        ("resources.a", "select * from traits.all", "resources/ comes before traits/"),
        ("resources.a", "select * from resources.a", "circle"),
    ],
)
def test_a_wrong_model_is_refused_by_name(sql: Path, name: str, select: str, message: str) -> None:
    write(sql, name, select)
    with pytest.raises(models.ModelError, match=message):
        models.load(sql)


def test_a_misspelt_column_is_told_with_its_file(sql: Path) -> None:
    write(sql, "resources.a", "select no_such_column from snapshot.service")
    with databases.empty_database(sql) as connection, pytest.raises(models.ModelError, match=r"a\.sql.*no_such_column"):
        models.build(connection, sql)


def test_a_result_model_must_have_its_declared_columns(sql: Path) -> None:
    write(sql, "resources.lifecycle", "select resource_id, 1 as extra from snapshot.service")
    with (
        databases.empty_database(sql) as connection,
        pytest.raises(models.ModelError, match=r"lacks \['account_id'.*extra"),
    ):
        models.build(connection, sql)


def test_the_rules_version_follows_models_reference_tables_and_detectors(sql: Path) -> None:
    write(sql, "resources.a", "select 1 as one")
    before = models.rules_version(sql, "detector-1")
    assert models.rules_version(sql, "detector-1") == before
    assert models.rules_version(sql, "detector-2") != before
    (sql / "reference" / "sla.csv").write_text("severity,days\nHIGH,7\n")
    assert models.rules_version(sql, "detector-1") != before


def test_a_model_that_says_so_is_a_view_and_what_it_reads_stays(sql: Path) -> None:
    write(sql, "resources.base", "-- One row.\nselect 1 as number")
    write(sql, "resources.seen", "-- As a view, one row.\nselect number + 1 as number from resources.base")
    write(sql, "resources.used", "-- One row.\nselect number from resources.seen")
    write(sql, "resources.last", "-- One row.\nselect number from resources.used")
    with databases.empty_database(sql) as connection:
        models.build(connection, sql, results_only=True)
        made = "select table_name, table_type from information_schema.tables where table_schema = 'resources'"
        kinds = dict(connection.execute(made).fetchall())
        assert kinds == {"base": "BASE TABLE", "seen": "VIEW", "used": "BASE TABLE", "last": "VIEW"}
        assert connection.execute("select number from resources.last").fetchone() == (2,)
        assert connection.execute("select number from resources.seen").fetchone() == (2,)


def test_what_a_trait_says_twice_is_evidence_once(sql: Path) -> None:
    write(sql, "resources.service", "-- One row.\nselect 'shop' as resource_id, '1' as account_id, 'eu' as region")
    seen = "select resource_id, 'task' as dataset, 'ok' as status, current_date as observed_date from resources.service"
    write(sql, "resources.service_coverage", f"-- One row.\n{seen}")
    said = "select *, {'way': unnest([2, 1, 2])} as evidence from resources.service"
    write(sql, "traits.host_ipc_namespace", f"-- One row per way.\n{said}")
    shutil.copy(SQL / "traits" / "host_ipc_namespace.md", sql / "traits")
    write(sql, "exposures.trait_hit", "-- One row.\nfrom traits.all")
    with databases.empty_database(sql) as connection:
        models.build(connection, sql)
        assert connection.execute("select evidence from exposures.trait_hit").fetchall() == [('[{"way":1},{"way":2}]',)]
