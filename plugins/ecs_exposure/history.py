"""Questions to the assessed days of a lake: trends (sql/trends/, one SELECT a file) and the reader's own SQL.

Only result files are read, and of those only the days and tables a question names.
"""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb

from ecs_exposure.databases import connect, create_empty
from ecs_exposure.lake import Lake
from ecs_exposure.models import ModelError, tables_read
from ecs_exposure.schemas.results import RESULTS

GROUPINGS = ("account", "ou", "owner")
DEFAULT_DAYS = 30

_GROUP_NAME = """create macro history.group_name(by_, account_id_, account_name_, ou_path_, owner_) as case by_
    when 'account' then concat_ws(' ', account_name_, account_id_)
    when 'ou' then coalesce(ou_path_, '(not known)')
    when 'owner' then coalesce(owner_, '(no owner)')
    else 'all'
end"""

_SERVICE_VULNERABILITY = """create view {schema}.service_vulnerability as
select image.resource_id, image.account_id, image.container_name, image.image, image.is_running, vulnerability.*
from {schema}.service_image as image
join {schema}.image_vulnerability as vulnerability
    on vulnerability.snapshot_date = image.snapshot_date
    and vulnerability.registry_account = image.registry_account
    and vulnerability.region = image.registry_region
    and vulnerability.repository_name = image.repository_name
    and vulnerability.image_digest = image.image_digest"""


class NoDataError(Exception):
    """Nothing to answer from: no assessed day, no such service, no exposure; the message says what to do."""


class QueryError(ValueError):
    """The reader's statement was refused or does not run; the message says why."""


@dataclass(frozen=True)
class Rows:
    """Column names and rows of an answer."""

    columns: tuple[str, ...]
    rows: Sequence[Sequence[Any]]

    def records(self) -> list[dict[str, Any]]:
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]


@dataclass(frozen=True)
class Trend:
    """One file of sql/trends/: the question in its first line, what its columns mean, SELECT and tables read."""

    name: str
    question: str
    notes: str
    select: str
    tables: frozenset[str]


def assessed_day(lake: Lake, day: date | None) -> date:
    """`day` if it was assessed, else the last assessed day when none is asked for. Raises NoDataError otherwise."""
    days = lake.days()
    if not days:
        raise NoDataError(f"no day has been assessed in the lake at {lake.location}: run `ecs-exposure scan` first")
    if day is None:
        return days[-1]
    if day not in days:
        near = [item for item in days if item < day][-1:] + [item for item in days if item > day][:1]
        raise NoDataError(f"{day} was not assessed; the nearest assessed days are {' and '.join(map(str, near))}")
    return day


def fetch(connection: duckdb.DuckDBPyConnection, select: str, parameters: object = None) -> Rows:
    """The whole answer of one SELECT."""
    cursor = connection.execute(select, parameters)
    return Rows(tuple(item[0] for item in cursor.description or ()), cursor.fetchall())


def load_trends(sql: Path) -> list[Trend]:
    """The trends of `sql/trends/`, by name.

    Raises ModelError naming the file for what is not one SELECT, lacks its question or reads beyond history.
    """
    trends = []
    for path in sorted((sql / "trends").glob("*.sql")):
        lines = path.read_text(encoding="utf-8").strip().splitlines()
        comment = [line.removeprefix("--").strip() for line in lines[: _leading_comments(lines)]]
        if not comment:
            raise ModelError(f"{path}: its first line is a comment holding the question it answers")
        select = "\n".join(lines).rstrip(";")
        reads = tables_read(select, path)
        if beyond := sorted(name for name in reads if name.removeprefix("history.") not in RESULTS):
            raise ModelError(f"{path}: reads {', '.join(beyond)}; a trend reads history.<result table> only")
        tables = frozenset(name.removeprefix("history.") for name in reads)
        trends.append(Trend(path.stem, comment[0], " ".join(comment[1:]), select, tables))
    return trends


def _leading_comments(lines: Sequence[str]) -> int:
    return next((index for index, line in enumerate(lines) if not line.startswith("--")), len(lines))


def period(lake: Lake, since: date | None, until: date | None) -> tuple[date, date]:
    """The days a question is about: up to the last assessed day and from thirty days before, unless said otherwise.

    Raises QueryError for a period that ends before it begins, NoDataError when no day of it was assessed.
    """
    end = until or assessed_day(lake, None)
    start = since or end - timedelta(days=DEFAULT_DAYS)
    if start > end:
        raise QueryError(f"the period ends before it begins: {start} to {end}")
    if not any(start <= day <= end for day in lake.days()):
        days = lake.days()
        raise NoDataError(
            f"no day was assessed from {start} to {end}" + (f"; assessed: {days[0]} to {days[-1]}" if days else "")
        )
    return start, end


def run_trend(lake: Lake, trend: Trend, since: date, until: date, by: str | None = None) -> Rows:
    """A trend's answer over the days from `since` to `until`, reading those days' files of its tables and no others.

    `by` is one of GROUPINGS; without it the column `group` is left out.
    """
    connection = connect()
    lake.attach_history(connection, "history", since=since, until=until, tables=trend.tables)
    connection.execute(_GROUP_NAME)
    answer = fetch(connection, trend.select, {"since": since, "until": until, "by": by})
    if by is not None:
        return answer
    index = answer.columns.index("group")
    return Rows(
        answer.columns[:index] + answer.columns[index + 1 :],
        [tuple(row[:index]) + tuple(row[index + 1 :]) for row in answer.rows],
    )


@contextmanager
def query(
    lake: Lake, statement: str, since: date | None = None, until: date | None = None
) -> Iterator[tuple[tuple[str, ...], Iterator[Sequence[object]]]]:
    """The answer to the reader's own SELECT: columns, and rows as they are read.

    Every public table is there over the assessed days from `since` to `until`, and as `latest.<table>` on the last of
    them. The connection can read the files behind the tables a statement names and nothing else: it cannot write,
    attach, load or change a setting.
    Raises QueryError for anything but one SELECT and for what DuckDB refuses.
    """
    with tempfile.TemporaryDirectory(prefix="ecs-exposure-sql-") as spill:
        connection = connect()
        try:
            _refuse_all_but_select(connection, statement)
            days = [day for day in lake.days() if (since is None or day >= since) and (until is None or day <= until)]
            named = _tables_named(connection, statement)
            files: list[str] = []
            for schema, schema_days in (("history", days), ("latest", days[-1:])):
                tables = {
                    table for where, table in named if where in (schema, "*") or (schema == "history" and where == "")
                }
                if "service_vulnerability" in tables:
                    tables |= {"service_image", "image_vulnerability"}
                tables &= RESULTS.keys()
                create_empty(
                    connection, schema, {name: declared for name, declared in RESULTS.items() if name not in tables}
                )
                if tables and schema_days:
                    lake.attach_history(connection, schema, since=schema_days[0], until=schema_days[-1], tables=tables)
                    files += lake.storage.local(
                        file for name in sorted(tables) for file in lake.result_files(name, schema_days)
                    )
                else:
                    create_empty(connection, schema, {name: RESULTS[name] for name in tables})
                connection.execute(_SERVICE_VULNERABILITY.format(schema=schema))
            connection.execute(_GROUP_NAME)
            _lock(connection, files, spill)
            cursor = connection.execute(statement)
            yield tuple(item[0] for item in cursor.description or ()), _stream(cursor)
        except duckdb.Error as error:
            raise QueryError(str(error)) from None
        finally:
            connection.close()


def _stream(cursor: duckdb.DuckDBPyConnection) -> Iterator[Sequence[object]]:
    while batch := cursor.fetchmany(10_000):
        yield from batch


def _refuse_all_but_select(connection: duckdb.DuckDBPyConnection, statement: str) -> None:
    statements = connection.extract_statements(statement)
    if len(statements) != 1:
        raise QueryError(f"one statement at a time, found {len(statements)}")
    if statements[0].type != duckdb.StatementType.SELECT:
        raise QueryError("the lake is read-only: one SELECT (or FROM, WITH, VALUES, DESCRIBE, SUMMARIZE, SHOW TABLES)")


def _tables_named(connection: duckdb.DuckDBPyConnection, statement: str) -> set[tuple[str, str]]:
    """(schema, table) of each table named; schema `*` where only words can be compared (DESCRIBE, query('…'))."""
    row = connection.execute("select json_serialize_sql(?)", [statement]).fetchone()
    tree = json.loads(row[0]) if row else {"error": True}
    found = {("*", word) for word in re.findall(r"\w+", statement.lower())}
    if tree.get("error") or re.search(r"\bquery(_table)?\s*\(", statement, re.IGNORECASE):
        return found
    return {
        (node["schema_name"].lower(), node["table_name"].lower())
        for node in _nodes(tree)
        if node.get("type") == "BASE_TABLE"
    }


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    if isinstance(tree, dict):
        yield tree
    for value in tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ():
        yield from _nodes(value)


def _lock(connection: duckdb.DuckDBPyConnection, files: Sequence[str], spill: str) -> None:
    """From here on only `files` can be opened; DuckDB itself holds to it, whatever function a statement calls."""
    connection.execute("set schema = 'history'")
    connection.execute(f"set temp_directory = '{_quote(spill)}'")
    connection.execute("set autoload_known_extensions = false")
    listed = ", ".join(f"'{_quote(file)}'" for file in sorted(set(files)))
    connection.execute(f"set allowed_paths = [{listed}]")
    connection.execute("set enable_external_access = false")
    connection.execute("set lock_configuration = true")


def _quote(text: str) -> str:
    return text.replace("'", "''")
