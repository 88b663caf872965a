"""Runs the shipped SQL on rows written in a test: a column left out is NULL, or a filler."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
from ecs_exposure import databases, models
from ecs_exposure.schemas import Table
from ecs_exposure.schemas.results import RESULTS
from ecs_exposure.schemas.snapshots import SNAPSHOTS

SQL = Path(__file__).parents[1] / "sql"
DAY = date(2026, 3, 2)
ACCOUNT = "111111111111"
REGION = "eu-west-1"
GLOBAL = frozenset(
    {
        "account", "role", "role_statement", "role_trust", "service_control_statement", "service_control_level",
        "vpc_origin", "accelerator_endpoint", "epss_score", "kev_entry", "vulnrichment",
    }
)  # fmt: skip

Row = Mapping[str, Any]
Rows = Mapping[str, Iterable[Row]]


@cache
def shipped_models() -> tuple[models.Model, ...]:
    return tuple(models.load(SQL))


def filled(table: Table, row: Row, day: date = DAY) -> dict[str, Any]:
    """The row with a filler in every column that must not be NULL and that it leaves out."""
    region = "global" if table.name in GLOBAL else REGION
    fillers: dict[str, Any] = {"account_id": ACCOUNT, "region": region, "observed_date": day, "snapshot_date": day}
    for column in table.columns:
        if column.nullable or column.name in fillers:
            continue
        if column.values:
            fillers[column.name] = column.values[0]
        elif pa.types.is_string(column.type):
            fillers[column.name] = ""
        elif pa.types.is_boolean(column.type):
            fillers[column.name] = False
        elif pa.types.is_integer(column.type):
            fillers[column.name] = 0
        elif pa.types.is_list(column.type):
            fillers[column.name] = []
    known = set(table.column_names)
    return {name: value for name, value in fillers.items() if name in known} | dict(row)


def insert(connection: duckdb.DuckDBPyConnection, table: str, rows: Iterable[Row]) -> None:
    """Rows into `schema.table` by column name; what a row leaves out is NULL."""
    for row in rows:
        names = ", ".join(f'"{name}"' for name in row)
        places = ", ".join("?" for _ in row)
        connection.execute(f"insert into {table} ({names}) values ({places})", list(row.values()))


def _append(connection: duckdb.DuckDBPyConnection, table: str, rows: pa.Table) -> None:
    if rows.num_rows:
        connection.register("appended", rows)
        connection.execute(f"insert into {table} by name select * from appended")
        connection.unregister("appended")


def day_of(
    snapshot: Rows,
    *,
    day: date = DAY,
    before: duckdb.DuckDBPyConnection | None = None,
    unseen: Mapping[str, str | tuple[str, date | None]] | None = None,
    rules: str = "rules",
) -> duckdb.DuckDBPyConnection:
    """A database of one day, not yet built: snapshot rows, all datasets seen except `unseen` (dataset → status, or
    status and the day of the rows in force), and the results of `before` as the previous day.
    """
    connection = databases.empty_database(SQL)
    connection.execute("update run.day set snapshot_date = ?, rules_version = ?", [day, rules])
    targets = {(ACCOUNT, REGION), (ACCOUNT, "global")}
    for dataset, rows in snapshot.items():
        made = [filled(SNAPSHOTS[dataset], row, day) for row in rows]
        targets |= {(row["account_id"], row["region"]) for row in made}
        _append(connection, f"snapshot.{dataset}", SNAPSHOTS[dataset].to_arrow(made))
    unseen = unseen or {}
    coverage: list[Row] = []
    for account_id, region in sorted(targets):
        for dataset in SNAPSHOTS:
            said = unseen.get(dataset, "ok")
            status, observed = said if isinstance(said, tuple) else (said, day if said == "ok" else None)
            seen = {
                "account_id": account_id,
                "region": region,
                "dataset": dataset,
                "status": status,
                "observed_date": observed,
            }
            coverage.append(seen)
    _append(connection, "snapshot.coverage", RESULTS["coverage"].to_arrow(coverage))
    if before is not None:
        [(previous_date,)] = before.execute("select snapshot_date from run.day").fetchall()
        connection.execute("update run.day set previous_date = ?, previous_rules_version = ?", [previous_date, rules])
        for name in RESULTS:
            for folder in ("resources", "exposures"):
                if before.execute(
                    "select 1 from information_schema.tables where table_schema = ? and table_name = ?", [folder, name]
                ).fetchall():
                    moved = before.sql(f'select * from {folder}."{name}"').to_arrow_table()
                    for schema in ("previous", "rebased"):
                        _append(connection, f'{schema}."{name}"', moved)
    return connection


def assess(snapshot: Rows, **options: Any) -> duckdb.DuckDBPyConnection:
    """`day_of`, built with all models."""
    connection = day_of(snapshot, **options)
    models.build(connection, SQL)
    return connection


def records(connection: duckdb.DuckDBPyConnection, query: str) -> list[dict[str, Any]]:
    return connection.sql(query).to_arrow_table().to_pylist()


def build_up_to(connection: duckdb.DuckDBPyConnection, name: str, direct: Rows | None = None) -> None:
    """The model `name` and those it needs; tables of `direct` hold the given rows instead of their model's."""
    needed = _needed(name)
    for folder in ("resources", "traits"):
        connection.execute(f"create schema {folder}")
    for model in shipped_models():
        if model.name not in needed:
            continue
        connection.execute(f"create table {model.name} as {model.select}")
        if direct and model.name in direct:
            connection.execute(f"delete from {model.name}")
            insert(connection, model.name, direct[model.name])


def model_rows(
    name: str,
    snapshot: Rows,
    columns: str = "*",
    *,
    previous: Rows | None = None,
    unseen: Mapping[str, str | tuple[str, date | None]] | None = None,
) -> list[dict[str, Any]]:
    """Columns of one resource model, sorted, from snapshot rows and rows of the previous day's results."""
    with day_of(snapshot, unseen=unseen) as connection:
        for table, rows in (previous or {}).items():
            insert(
                connection, f"previous.{table}", [filled(RESULTS[table], row, DAY - timedelta(days=1)) for row in rows]
            )
        build_up_to(connection, name)
        return records(connection, f"select {columns} from {name} order by all")


def trait_rows(trait: str, given: Rows, unseen: Mapping[str, str] | None = None) -> dict[str, list[dict[str, Any]]]:
    """Evidence by service of one trait alone. Given tables are `snapshot.*` (fillers, then the resource models run on
    them) or `resources.*` (taken as they are, instead of their model); services that `resources.*` rows name exist.
    """
    snapshot = {name.partition(".")[2]: rows for name, rows in given.items() if name.startswith("snapshot.")}
    direct = {name: list(rows) for name, rows in given.items() if name.startswith("resources.")}
    named = sorted({row["resource_id"] for rows in direct.values() for row in rows if "resource_id" in row})
    known = {row.get("resource_id") for row in snapshot.get("service", ())}
    if direct:
        snapshot["service"] = [
            *snapshot.get("service", ()),
            *({"resource_id": name} for name in named if name not in known),
        ]
    with day_of(snapshot, unseen=unseen) as connection:
        build_up_to(connection, f"traits.{trait}", direct)
        found = connection.execute(f"select resource_id, to_json(evidence) from traits.{trait} order by all").fetchall()
    hits: dict[str, list[dict[str, Any]]] = {}
    for resource_id, evidence in found:
        hits.setdefault(resource_id, []).append(json.loads(evidence))
    return hits


def _needed(name: str) -> set[str]:
    by_name = {model.name: model for model in shipped_models()}
    needed: set[str] = set()
    todo = [name]
    while todo:
        model = by_name.get(todo.pop())
        if model and model.name not in needed:
            needed.add(model.name)
            todo.extend(model.reads)
    return needed
