"""Where snapshots and results lie: a folder or s3://bucket/prefix, Parquet files, one commit record per batch and one
per day.

snapshots/<dataset>/snapshot_date=D/<part>.parquet     rows of up to a few hundred targets
snapshots/coverage/snapshot_date=D/<part>.parquet      written last: names the files of its batch; files nobody names do
not exist
quarantine/<dataset>/snapshot_date=D/<part>.parquet    rows the gate refused
results/<table>/snapshot_date=D/<run>.parquet
results/days/D.json                                    one PUT makes the day visible: files, rules version
results/<appended>/snapshot_date=D/<part>.parquet      the tables publishing appends to; no commit record names them
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from threading import Lock
from typing import Any, Self

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ecs_exposure.databases import create_empty
from ecs_exposure.lake_key import lake_key
from ecs_exposure.schemas import Table
from ecs_exposure.schemas.results import APPENDED, COVERAGE, RESULTS
from ecs_exposure.schemas.snapshots import SNAPSHOTS
from ecs_exposure.storage import LakeError, Storage

__all__ = ["Day", "Lake", "LakeError", "SnapshotWriter"]


@dataclass(frozen=True)
class Day:
    """One assessed day: its result files relative to the lake's root, and the version of the rules that made them."""

    date: date
    run_id: str
    rules_version: str
    files: Mapping[str, tuple[str, ...]]


class Lake:
    """A lake at one location."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage

    @staticmethod
    def open(location: str, *, create: bool = False) -> Lake:
        """The lake at a folder or s3://bucket/prefix.

        Raises LakeError when it does not exist (unless `create`), cannot be reached, or cannot be written to (when
        `create`).
        """
        storage = Storage(location)
        storage.check(create=create)
        return Lake(storage)

    @property
    def location(self) -> str:
        return self.storage.location

    def close(self) -> None:
        self.storage.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        """Close; an error of reading is explained by the damaged file behind it, as a LakeError, where there is one."""
        try:
            if _is_of_reading(error) and (damage := self.storage.damage()):
                raise damage from error
        finally:
            self.close()

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the lake for one scan. Raises LakeError when another process holds it.

        On S3 there is no lock: part names are unique and the day becomes visible by one PUT, so the later scan simply
        wins; Airflow's one-slot pool keeps scheduled runs apart.
        """
        if self.storage.is_remote:
            yield
            return
        with open(f"{self.storage.root}/.lock", "a+", encoding="utf-8") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                handle.seek(0)
                raise LakeError(
                    f"another scan holds the lake at {self.location} ({handle.read().strip()}): wait for it to end"
                ) from None
            handle.truncate(0)
            handle.write(f"process {os.getpid()}")
            handle.flush()
            yield

    def fingerprint_key(self) -> bytes:
        """The lake's own key for credential fingerprints, made once (mode 600). Only for local lakes: settings demand a
        key on S3. Raises LakeError when the file is there and holds none.
        """
        return lake_key(Path(self.storage.root))

    # Snapshots

    def writer(self, day: date, part: str) -> SnapshotWriter:
        """A writer for one batch's rows; nothing it writes exists for readers until its `commit`."""
        return SnapshotWriter(self, day, part)

    def write_quarantine(self, day: date, part: str, dataset: Table, rows: pa.Table) -> str:
        relative = f"quarantine/{dataset.name}/snapshot_date={day}/{part}.parquet"
        self.storage.write(relative, rows)
        return relative

    def snapshot_days(self) -> list[date]:
        """Days that have at least one committed batch, ascending."""
        return self.storage.day_folders("snapshots/coverage")

    def coverage(self, day: date) -> pa.Table:
        """The coverage of one day: the last word on each target × dataset (schema COVERAGE; empty when nothing was
        collected).
        """
        with duckdb.connect(":memory:") as connection:
            self._attach_coverage(connection, day, "main")
            rows = connection.sql("select * from main.coverage order by account_id, region, dataset").to_arrow_table()
        return rows.cast(COVERAGE.schema)

    def _attach_coverage(self, connection: duckdb.DuckDBPyConnection, day: date, schema: str) -> None:
        create_empty(connection, schema, {"coverage": COVERAGE})
        files = self.storage.local(self.storage.files(f"snapshots/coverage/snapshot_date={day}"))
        if files:
            connection.execute(
                f"""insert into {schema}.coverage by name
                select * exclude (part)
                from read_parquet(?, union_by_name = true, filename = 'part', hive_partitioning = false)
                qualify 1 = row_number() over (
                    partition by account_id, region, dataset order by collected_at desc, part desc
                )""",
                [files],
            )

    def attach_snapshot(
        self,
        connection: duckdb.DuckDBPyConnection,
        day: date,
        schema: str = "snapshot",
        *,
        datasets: Collection[str] = SNAPSHOTS.keys(),
        as_views: Collection[str] = SNAPSHOTS.keys(),
    ) -> None:
        """`schema.<dataset>` for the datasets and `schema.coverage`, typed, with the rows of that day's committed
        batches.

        Views read the files each time they are asked; a dataset that is not among `as_views` becomes a table, several
        at a time: a large organisation's day is thousands of small files, and opening them is most of the work.
        """
        self._attach_coverage(connection, day, schema)
        create_empty(connection, schema, {name: SNAPSHOTS[name] for name in datasets})
        selects = {}
        for name in datasets:
            files = [
                row[0]
                for row in connection.execute(
                    f"select distinct file from {schema}.coverage where dataset = ? and file is not null order by file",
                    [name],
                ).fetchall()
            ]
            if files:
                paths = self.storage.local(f"snapshots/{name}/snapshot_date={day}/{file}" for file in files)
                connection.register("parts", pa.table({"file": files, "part": paths}))
                connection.execute(f"create or replace table {schema}.part_of_{name} as select * from parts")
                connection.unregister("parts")
                selects[name] = _committed_rows(schema, SNAPSHOTS[name], paths)
        for name in selects.keys() & set(as_views):
            connection.execute(f"alter table {schema}.{name} rename to no_{name}")
            connection.execute(
                f"create view {schema}.{name} as {selects[name].replace(f'{schema}.{name} ', f'{schema}.no_{name} ')}"
            )

        def fill(name: str) -> None:
            with connection.cursor() as own:
                own.execute(f"insert into {schema}.{name} {selects[name]}")

        with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
            list(pool.map(fill, sorted(selects.keys() - set(as_views))))

    def rows(self, day: date, dataset: Table, accounts: Collection[str], coverage: pa.Table) -> pa.Table:
        """Rows of one dataset for some accounts on one day, from only the files that `coverage` names for them."""
        wanted = pa.array(sorted(accounts), pa.string())
        names = pc.and_(pc.equal(coverage["dataset"], dataset.name), pc.is_in(coverage["account_id"], wanted))
        files = sorted({file for file in coverage.filter(names)["file"].to_pylist() if file})
        parts = []
        for path in self.storage.local(f"snapshots/{dataset.name}/snapshot_date={day}/{file}" for file in files):
            # Not read_table, which loads Arrow's dataset engine: a file is small and is wanted nearly whole.
            part = pq.ParquetFile(path).read()
            part = part.filter(pc.is_in(part["account_id"], wanted))
            missing = [name for name in dataset.column_names if name not in part.column_names]
            for name in missing:
                part = part.append_column(name, pa.nulls(part.num_rows, dataset.schema.field(name).type))
            parts.append(part.select(list(dataset.column_names)).cast(dataset.schema))
        return pa.concat_tables(parts) if parts else dataset.schema.empty_table()

    # Results

    def days(self) -> list[date]:
        """Assessed days, ascending."""
        return [
            date.fromisoformat(name.rpartition("/")[2].removesuffix(".json"))
            for name in self.storage.files("results/days", ".json")
        ]

    def previous_day(self, day: date) -> date | None:
        """The last assessed day before `day`."""
        return max((item for item in self.days() if item < day), default=None)

    def day(self, day: date) -> Day:
        """The commit record of an assessed day. Raises LakeError when it was not assessed or the record is damaged."""
        relative = f"results/days/{day}.json"
        text = self.storage.get(relative)
        if text is None:
            raise LakeError(f"{day} was not assessed in the lake at {self.location}; assessed: {_span(self.days())}")
        try:
            record = json.loads(text)
            return Day(
                day,
                record["run_id"],
                record["rules_version"],
                {name: tuple(files) for name, files in record["files"].items()},
            )
        except (ValueError, KeyError, TypeError, AttributeError):
            raise LakeError(
                f"{self.location}/{relative} is damaged: restore it from a backup, or remove it and make that day's "
                f"results again with `ecs-exposure assess --date {day}`. Nothing was deleted"
            ) from None

    def commit_day(
        self, day: date, run_id: str, rules_version: str, tables: Iterable[tuple[str, pa.Table | pa.RecordBatchReader]]
    ) -> Day:
        """Write the day's results and make them visible by one PUT; files of a superseded run are deleted after the
        switch.

        Two tables are written at a time, taken one after another: while one core puts a table into Parquet, the next is
        computed. A reader must not depend on another being read to its end.
        """
        before = self.day(day) if day in self.days() else None
        files: dict[str, tuple[str, ...]] = {}
        remaining = iter(tables)
        turn = Lock()

        def write() -> None:
            while True:
                with turn:
                    name, rows = next(remaining, (None, None))
                if name is None or rows is None:
                    return
                relative = f"results/{name}/snapshot_date={day}/{run_id}.parquet"
                if self.storage.write(relative, rows, statistics=RESULTS[name].key):
                    files[name] = (relative,)
                else:
                    self.storage.delete(relative)

        with ThreadPoolExecutor(max_workers=2) as pool:
            for done in [pool.submit(write) for _ in range(2)]:
                done.result()
        self._put_day(day, run_id, rules_version, files)
        kept = {item for items in files.values() for item in items}
        for items in before.files.values() if before else ():
            for item in items:
                if item not in kept:
                    self.storage.delete(item)
        return self.day(day)

    def _put_day(self, day: date, run_id: str, rules_version: str, files: Mapping[str, tuple[str, ...]]) -> None:
        record = {
            "snapshot_date": str(day),
            "run_id": run_id,
            "rules_version": rules_version,
            "files": {name: list(items) for name, items in sorted(files.items())},
        }
        self.storage.put(f"results/days/{day}.json", json.dumps(record, indent=1, sort_keys=True))

    def append(self, table: str, day: date, part: str, rows: pa.Table) -> None:
        """Add rows of a day to one of the tables that publishing appends to; existing parts are never rewritten."""
        if rows.num_rows:
            self.storage.write(f"results/{table}/snapshot_date={day}/{part}.parquet", rows)

    def put_ledger(self, day: date, rows: pa.Table) -> None:
        """Store the ledger as of a day, and forget earlier ones: it holds all that they held."""
        self.storage.write(f"results/ledger/snapshot_date={day}/ledger.parquet", rows)
        for other in self.ledger_days():
            if other < day:
                self.storage.delete_folder(f"results/ledger/snapshot_date={other}")

    def ledger_days(self) -> list[date]:
        """Days of which a ledger is stored, ascending: as a rule one."""
        return self.storage.day_folders("results/ledger")

    # Retention

    def sweep(self, day: date) -> list[str]:
        """Delete files of a day's snapshot that its coverage does not name (killed tries, superseded parts).

        Returns them. Only for days before the last assessed one: a batch being collected is not named yet either.
        """
        named = {(row["dataset"], row["file"]) for row in self.coverage(day).to_pylist()}
        swept = []
        for dataset in SNAPSHOTS:
            for relative in self.storage.files(f"snapshots/{dataset}/snapshot_date={day}", ""):
                if (dataset, relative.rpartition("/")[2]) not in named:
                    self.storage.delete(relative)
                    swept.append(relative)
        return swept

    def forget_snapshot(self, day: date) -> None:
        """Delete everything kept of a day's snapshot: its rows, coverage, quarantine and Data Docs. Results stay."""
        folders = [f"{kind}/{name}" for kind in ("snapshots", "quarantine") for name in (*SNAPSHOTS, "coverage")] + [
            "data_docs"
        ]
        for folder in folders:
            self.storage.delete_folder(f"{folder}/snapshot_date={day}")

    def forget_results(self, day: date, tables: Collection[str] | None = None) -> None:
        """Delete some result tables of a day (all of them, the commit record included, when `tables` is None)."""
        record = self.day(day)
        kept = {name: files for name, files in record.files.items() if tables is not None and name not in tables}
        if tables is None:
            self.storage.delete(f"results/days/{day}.json")
            for name in APPENDED:
                self.storage.delete_folder(f"results/{name}/snapshot_date={day}")
        else:
            self._put_day(day, record.run_id, record.rules_version, kept)
        for name, files in record.files.items():
            for file in files if name not in kept else ():
                self.storage.delete(file)

    def result_files(self, table: str, days: Iterable[date]) -> list[str]:
        """Files of one result table over some days, relative to the root; only those days are looked at."""
        files: list[str] = []
        assessed = set(self.days())
        for day in days:
            if table in APPENDED:
                files += self.storage.files(f"results/{table}/snapshot_date={day}")
            elif day in assessed:
                files += self.day(day).files.get(table, ())
        return files

    def attach_results(
        self,
        connection: duckdb.DuckDBPyConnection,
        day: date | None,
        schema: str,
        *,
        tables: Collection[str] = RESULTS.keys(),
    ) -> None:
        """`schema.<table>` for the result tables as of one assessed day, typed; all empty when `day` is None."""
        wanted = {name: RESULTS[name] for name in tables}
        create_empty(connection, schema, wanted)
        if day is not None:
            self._attach(connection, schema, [day], wanted)

    def attach_history(
        self,
        connection: duckdb.DuckDBPyConnection,
        schema: str,
        *,
        since: date | None = None,
        until: date | None = None,
        tables: Collection[str] = RESULTS.keys(),
    ) -> None:
        """`schema.<table>` over the assessed days from `since` to `until` (both included): a view per table, reading
        only those days' files.
        """
        wanted = {name: RESULTS[name] for name in tables}
        create_empty(connection, schema, wanted)
        self._attach(
            connection,
            schema,
            [day for day in self.days() if (not since or day >= since) and (not until or day <= until)],
            wanted,
        )

    def _attach(
        self, connection: duckdb.DuckDBPyConnection, schema: str, days: Collection[date], tables: Mapping[str, Table]
    ) -> None:
        for name, paths in self._local_results(days, tables).items():
            listed = ", ".join(f"'{_quote(path)}'" for path in paths)
            columns = ", ".join(f'"{column}"' for column in tables[name].column_names)
            # The empty typed table gives columns that older files lack their NULLs and every column its declared type.
            connection.execute(f"alter table {schema}.{name} rename to no_{name}")
            connection.execute(
                f"""create view {schema}.{name} as select {columns} from (
                select * from {schema}.no_{name} union all by name
                select * from read_parquet([{listed}], union_by_name = true, hive_partitioning = false))"""
            )

    def _local_results(self, days: Collection[date], tables: Collection[str]) -> dict[str, list[str]]:
        """Local paths of the days' files of each table that has any."""
        records = {day: self.day(day) for day in days}
        files = {
            name: self.result_files(name, days)
            if name in APPENDED
            else [file for day in days for file in records[day].files.get(name, ())]
            for name in tables
        }
        try:
            return {name: self.storage.local(relatives) for name, relatives in files.items() if relatives}
        except LakeError:
            if {day: self.day(day) for day in days} == records:
                raise
            return self._local_results(days, tables)  # another run replaced a day meanwhile


class SnapshotWriter:
    """Writes one batch's rows part by part; `commit` writes the coverage part last, which makes them exist.

    `part` must be unique to the attempt (`<batch>-<try>-<token>`), so that a retry or a second scan never overwrites a
    file.
    """

    def __init__(self, lake: Lake, day: date, part: str) -> None:
        self._lake, self._day, self._part = lake, day, part
        self._writers: dict[str, pq.ParquetWriter] = {}

    @property
    def file(self) -> str:
        """Name of the batch's file in each dataset's day folder."""
        return f"{self._part}.parquet"

    def write(self, dataset: Table, rows: pa.Table) -> None:
        """Append rows of one dataset. Raises LakeError when the lake cannot be written to."""
        if not rows.num_rows:
            return
        relative = f"snapshots/{dataset.name}/snapshot_date={self._day}/{self.file}"
        if dataset.name not in self._writers:
            self._writers[dataset.name] = self._lake.storage.parquet_writer(relative, dataset.schema)
        try:
            self._writers[dataset.name].write_table(rows)
        except OSError as error:
            raise LakeError(f"cannot write {relative} to the lake at {self._lake.location}: {error}") from None

    def commit(self, coverage: Iterable[Mapping[str, Any]]) -> None:
        """Close the files and write the coverage part. Rows name the batch's file where they have rows in it."""
        for writer in self._writers.values():
            writer.close()
        rows = [{"snapshot_date": self._day, **row} for row in coverage]
        if rows:
            self._lake.storage.write(
                f"snapshots/coverage/snapshot_date={self._day}/{self.file}", COVERAGE.to_arrow(rows)
            )


def _is_of_reading(error: BaseException | None) -> bool:
    """Whether DuckDB or Arrow failed on data, in this error or in one that it explains: not on a statement's text."""
    while error is not None:
        wrong_text = (duckdb.ParserException, duckdb.BinderException, duckdb.CatalogException, duckdb.DataError)
        if isinstance(error, duckdb.Error | pa.ArrowException) and not isinstance(error, wrong_text):
            return True
        if type(error) is OSError:  # Arrow's, for a file it cannot decode
            return True
        error = error.__cause__ or error.__context__
    return False


def _committed_rows(schema: str, dataset: Table, paths: Sequence[str]) -> str:
    """SELECT of a dataset's rows in the files of a day, of the targets whose coverage names the file and no others."""
    name = dataset.name
    listed = ", ".join(f"'{_quote(path)}'" for path in paths)
    columns = ", ".join(f'"{column}"' for column in dataset.column_names)
    # `account` is one target's answer about all accounts; everything else is about its own target.
    is_own = "" if name == "account" else "named.account_id = rows.account_id and named.region = rows.region and"
    return f"""select {columns} from (
        select * from {schema}.{name} union all by name
        select rows.* exclude (part)
        from read_parquet([{listed}], union_by_name = true, filename = 'part', hive_partitioning = false) as rows
        semi join (
            select coverage.account_id, coverage.region, parts.part
            from {schema}.coverage as coverage
            join {schema}.part_of_{name} as parts on parts.file = coverage.file
            where coverage.dataset = '{name}'
        ) as named on {is_own} named.part = rows.part
    )"""


def _quote(path: str) -> str:
    return path.replace("'", "''")


def _span(days: list[date]) -> str:
    return f"{days[0]} to {days[-1]} ({len(days)} days)" if days else "none yet"
