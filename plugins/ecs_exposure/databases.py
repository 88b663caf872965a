"""DuckDB databases in memory, and what is attached to them: `reference.*`, `run.*` and typed, empty tables.

`snapshot.*`, `previous.*` and the results of other days are attached by the lake.
"""

from __future__ import annotations

import io
from dataclasses import astuple, dataclass
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
from pyarrow import csv

from ecs_exposure.evidence import durable_evidence
from ecs_exposure.schemas import Table
from ecs_exposure.schemas.results import RESULTS
from ecs_exposure.schemas.snapshots import SNAPSHOTS


@dataclass(frozen=True)
class RunDay:
    """The one row of `run.day`: the day assessed, the assessed day before it, and the versions of the rules of both."""

    snapshot_date: date
    previous_date: date | None
    rules_version: str
    previous_rules_version: str | None
    owner_tag: str


def connect(
    *, memory_limit: str | None = None, threads: int | None = None, spill: str | None = None
) -> duckdb.DuckDBPyConnection:
    """An in-memory DuckDB that never reaches for the network and has no home folder of its own.

    What goes beyond `memory_limit` (DuckDB's words, e.g. `1300MB`) is put into the folder `spill`.
    """
    config: dict[str, Any] = {"autoinstall_known_extensions": False, "preserve_insertion_order": False}
    if memory_limit:
        config["memory_limit"] = memory_limit
    if threads:
        config["threads"] = threads
    if spill:
        config["temp_directory"] = spill
    return duckdb.connect(":memory:", config=config)


def attach_reference(connection: duckdb.DuckDBPyConnection, sql: Path) -> None:
    """`reference.<stem>` for every CSV of sql/reference/; lines beginning with # are its source notes."""
    connection.execute("create schema if not exists reference")
    for path in sorted((sql / "reference").glob("*.csv")):
        # The sniffer has no reliable comment handling beside quoted commas, so the notes are taken off here.
        lines = [line for line in path.read_text(encoding="utf-8").splitlines(True) if not line.startswith("#")]
        connection.execute(f'drop table if exists reference."{path.stem}"')
        _read_csv(connection, path.stem, "".join(lines))


def _read_csv(connection: duckdb.DuckDBPyConnection, name: str, text: str) -> None:
    loaded = csv.read_csv(io.BytesIO(text.encode()), convert_options=csv.ConvertOptions(strings_can_be_null=True))
    connection.register("reference_csv", loaded)
    connection.execute(f'create table reference."{name}" as select * from reference_csv')
    connection.unregister("reference_csv")


def create_empty(connection: duckdb.DuckDBPyConnection, schema: str, tables: dict[str, Table]) -> None:
    """Typed, empty `schema.<table>` for every declared table."""
    connection.execute(f"create schema if not exists {schema}")
    for name, declared in tables.items():
        empty = declared.schema.empty_table()
        connection.register("declared_columns", empty)
        connection.execute(f'create or replace table {schema}."{name}" as select * from declared_columns')
        connection.unregister("declared_columns")


def empty_database(sql: Path) -> duckdb.DuckDBPyConnection:
    """A database with everything a model may read, typed and empty, for a day that never was: what compiling a model
    needs.
    """
    connection = connect()
    for schema, tables in (("snapshot", SNAPSHOTS), ("previous", RESULTS), ("rebased", RESULTS)):
        create_empty(connection, schema, tables)
    create_empty(connection, "snapshot", {"coverage": RESULTS["coverage"]})
    attach_reference(connection, sql)
    attach_day(connection, RunDay(date(2000, 1, 2), None, "", None, "owner"))
    return connection


def attach_functions(connection: duckdb.DuckDBPyConnection) -> None:
    """`durable_evidence(VARCHAR) -> VARCHAR`, the one thing models ask of Python. Close the connection in the end: else
    DuckDB complains of it on standard error.
    """
    connection.create_function("durable_evidence", durable_evidence, ["VARCHAR"], "VARCHAR")


def attach_day(connection: duckdb.DuckDBPyConnection, day: RunDay) -> None:
    """`run.day`, one row; `run.what_if`, empty: one row asks what would be without some traits and images; and
    `run.accepted_risk`, empty: one row per entry of the file of accepted risks.
    """
    connection.execute(
        """create schema run;
        create table run.accepted_risk (account varchar, service varchar, trait varchar, reason varchar, owner varchar,
            accepted_date date, expiry_date date);
        create table run.what_if (removed_traits varchar[], clean_digests varchar[]);
        create table run.day (snapshot_date date, previous_date date, rules_version varchar,
            previous_rules_version varchar, owner_tag varchar)"""
    )
    connection.execute("insert into run.day values (?, ?, ?, ?, ?)", list(astuple(day)))
