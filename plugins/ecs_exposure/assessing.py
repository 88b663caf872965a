"""Assessing: build `sql/` over a day's snapshot and make the results visible."""

from __future__ import annotations

import logging
import secrets
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from datetime import date

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from ecs_exposure import databases, models
from ecs_exposure.accepted_risks import accepted_risks
from ecs_exposure.collectors.task_definitions import EXTRACTOR_VERSION
from ecs_exposure.fix_plan import fix_plan
from ecs_exposure.lake import Lake, LakeError
from ecs_exposure.schemas import Table
from ecs_exposure.schemas.results import RESULTS
from ecs_exposure.schemas.snapshots import SNAPSHOTS
from ecs_exposure.settings import Settings

log = logging.getLogger(__name__)

MEMORY_MB = 1_300
MEMORY_MB_A_MILLION_FINDINGS = 900
"""What DuckDB may hold in memory: at least so much, and more for many image findings, which all are folded at once.
Without a limit it takes most of the machine; beyond it, it works on disk.
"""

Progress = Callable[[str, int, int], None]
"""Told the stage, how much of it is done, and how much there is."""


@dataclass(frozen=True)
class AssessSummary:
    """What one assessed day holds: services by severity, changes by kind, seconds by model."""

    snapshot_date: date
    rules_version: str
    exposures: dict[str, int]
    changes: dict[str, int]
    seconds: dict[str, float]


def assess(
    settings: Settings,
    lake: Lake,
    day: date,
    *,
    progress: Progress | None = None,
    observe: models.Observer | None = None,
) -> AssessSummary:
    """Build `sql/` for one gated day and make its results visible.

    When the rules changed since the previous assessed day, that day's snapshot is first assessed in memory with today's
    rules, so that `change.cause` can tell the estate's changes from our own. Raises LakeError for a day without a
    snapshot, ModelError for a wrong model, AcceptedRisksError for a wrong file of accepted risks.
    """
    version = rules_version(settings)
    seconds: dict[str, float] = {}
    total = len(models.load(settings.sql))

    def note(name: str, took: float) -> None:
        seconds[name] = took
        if progress:
            progress("assess", len(seconds), total)
        if observe:
            observe(name, took)

    with database(settings, lake, day, version) as connection:
        made = models.build(connection, settings.sql, observe=note, results_only=True)
        exposures = dict(
            connection.execute("select severity, count(*) from exposures.exposure group by all order by all").fetchall()
        )
        changes = dict(
            connection.execute("select change, count(*) from exposures.change group by all order by all").fetchall()
        )
        lake.commit_day(
            day, f"{version}-{secrets.token_hex(4)}", version, _result_tables(connection, settings, day, made)
        )
    return AssessSummary(day, version, exposures, changes, seconds)


def rules_version(settings: Settings) -> str:
    return models.rules_version(settings.sql, EXTRACTOR_VERSION)


def reassess(
    settings: Settings, lake: Lake, since: date, until: date | None = None, *, progress: Progress | None = None
) -> list[AssessSummary]:
    """Rebuild results from the stored snapshots with today's rules, from `since` forward: each day's changes and dates
    rest on the day before.

    Never publishes. Raises LakeError when a day in between no longer has its snapshot (see retention in
    docs/operate.md).
    """
    stored = set(lake.snapshot_days())
    days = [item for item in lake.days() if item >= since and (until is None or item <= until)]
    if missing := [str(item) for item in days if item not in stored]:
        raise LakeError(f"no snapshot is kept of {', '.join(missing[:5])}: only days with one can be assessed again")
    summaries = []
    for number, item in enumerate(days):
        summaries.append(assess(settings, lake, item))
        if progress:
            progress("reassess", number + 1, len(days))
    return summaries


@contextmanager
def database(
    settings: Settings,
    lake: Lake,
    day: date,
    version: str,
    *,
    services: Collection[str] | None = None,
    is_rebase: bool = False,
) -> Iterator[duckdb.DuckDBPyConnection]:
    """A DuckDB with everything the models read for one day; `rebased.exposure` is the previous day under today's
    rules. With `services` (ARNs) the day has only those, and what they could lead to.

    Accepted risks change no severity: a what-if and the previous day know none. Raises LakeError for a day without a
    snapshot, AcceptedRisksError for a wrong file of accepted risks.
    """
    accepted = accepted_risks(settings) if services is None and not is_rebase else []
    if day not in lake.snapshot_days():
        raise LakeError(f"{day} has no snapshot in the lake at {lake.location}: run `ecs-exposure scan` for it first")
    previous_day = lake.previous_day(day)
    previous_version = lake.day(previous_day).rules_version if previous_day else None
    with (
        tempfile.TemporaryDirectory(prefix="assess-") as spill,
        databases.connect(spill=spill) as connection,
    ):
        # image_finding can be large and is read once; models read the others many times.
        lake.attach_snapshot(connection, day, "snapshot", as_views=("image_finding", "vulnerability_detail"))
        ((findings,),) = connection.execute("select count(*) from snapshot.image_finding").fetchall()
        limit = max(MEMORY_MB, findings * MEMORY_MB_A_MILLION_FINDINGS // 1_000_000)
        connection.execute(f"set memory_limit = '{limit}MB'")
        # Memory given back to the system between models is a fifth of the time: it is kept until the end.
        connection.execute(f"set block_allocator_memory = '{limit}MB'")
        connection.execute(f"set allocator_flush_threshold = '{limit}MB'")
        connection.execute(f"set allocator_bulk_deallocation_flush_threshold = '{limit}MB'")
        if services is not None:
            _hold_to(connection, services)
        lake.attach_results(connection, previous_day, "previous")
        databases.attach_reference(connection, settings.sql)
        databases.attach_day(
            connection,
            databases.RunDay(day, previous_day, version, previous_version, settings.owner_tag),
        )
        if accepted:
            connection.executemany(
                "insert into run.accepted_risk values (?, ?, ?, ?, ?, ?, ?)", list(map(list, map(astuple, accepted)))
            )
        databases.create_empty(connection, "rebased", {"exposure": RESULTS["exposure"]})
        if previous_day and previous_version != version and not is_rebase and previous_day in lake.snapshot_days():
            log.info(
                "rules changed from %s to %s: assessing %s again in memory", previous_version, version, previous_day
            )
            with database(settings, lake, previous_day, version, services=services, is_rebase=True) as rebased:
                models.build(rebased, settings.sql, results_only=True)
                rows = rebased.sql("select * from exposures.exposure").to_arrow_table()
            connection.register("rebased_exposure", rows)
            connection.execute("insert into rebased.exposure by name select * from rebased_exposure")
        else:
            connection.execute("insert into rebased.exposure by name select * from previous.exposure")
        yield connection


def _hold_to(connection: duckdb.DuckDBPyConnection, services: Collection[str]) -> None:
    """Leave only these services in the snapshot. All else of a service hangs on its row, or on its ARN."""
    for name, declared in SNAPSHOTS.items():
        if "resource_id" in declared.column_names:
            connection.execute(
                f"delete from snapshot.{name} where not list_contains(?, resource_id)", [sorted(services)]
            )


def _result_tables(
    connection: duckdb.DuckDBPyConnection, settings: Settings, day: date, made: Iterable[str]
) -> Iterator[tuple[str, pa.Table | pa.RecordBatchReader]]:
    """Each table's rows, on a cursor of its own; the longest first, so that nothing waits for them at the end."""
    models_of = {name.partition(".")[2]: name for name in made}
    yield "image_vulnerability", _image_vulnerabilities(connection.cursor(), day)
    own = connection.cursor()
    weights = dict(own.execute("select severity, weight from reference.severity").fetchall())
    planned = fix_plan(own, "exposures", weights)
    planned = planned.add_column(0, "snapshot_date", pa.array([day] * planned.num_rows, pa.date32()))
    yield "fix_plan", planned.cast(RESULTS["fix_plan"].schema)
    for name in sorted(models_of.keys() - {"image_vulnerability"}, key=lambda name: (name != "finding", name)):
        select = f"select * from {models_of[name]} order by {', '.join(RESULTS[name].key)}"
        yield name, _cast(connection.cursor().sql(select).to_arrow_reader(50_000), RESULTS[name])
    coverage = own.sql("select * from snapshot.coverage order by account_id, region, dataset").to_arrow_table()
    yield "coverage", coverage.cast(RESULTS["coverage"].schema)


def _image_vulnerabilities(connection: duckdb.DuckDBPyConnection, day: date) -> pa.RecordBatchReader:
    """The rows of image_vulnerability, image after image: millions of rows of some thousand texts.

    Only their numbers are sorted; what these stand for is looked up last, and reaches Parquet as dictionaries.
    """
    parts = {
        "image_id": _by_number(connection, "resources.image", "image_id"),
        "report_number": _by_number(connection, "resources.package_vulnerability", "report_number"),
    }
    numbers = connection.sql(
        "select image_id, report_number, finding_arn from resources.image_report order by image_id, report_number"
    ).to_arrow_reader(250_000)
    types = {field.name: field.type for part in parts.values() for field in part.schema}
    schema = pa.schema(
        [
            field.with_type(types[field.name]) if pa.types.is_dictionary(types.get(field.name, field.type)) else field
            for field in RESULTS["image_vulnerability"].schema
        ]
    )

    def batch_of(numbered: pa.RecordBatch) -> pa.RecordBatch:
        columns = {"snapshot_date": pa.repeat(pa.scalar(day), len(numbered)), "finding_arn": numbered["finding_arn"]}
        for number, part in parts.items():
            taken = part.take(pc.subtract(numbered[number], 1))
            columns |= dict(zip(taken.schema.names, taken.columns, strict=True))
        return pa.RecordBatch.from_arrays([columns[field.name].cast(field.type) for field in schema], schema=schema)

    return pa.RecordBatchReader.from_batches(schema, (batch_of(numbered) for numbered in numbers))


def _by_number(connection: duckdb.DuckDBPyConnection, table: str, number: str) -> pa.RecordBatch:
    """A table's rows in one batch, the one numbered 1 first, its texts as dictionaries."""
    rows = connection.sql(f"select * from {table} order by {number}").to_arrow_table()
    if not rows[number].equals(pa.chunked_array([pa.array(range(1, len(rows) + 1), rows[number].type)])):
        raise ValueError(f"{table} leaves out a {number}")
    columns = [
        pa.concat_arrays(column.chunks) if column.chunks else pa.array([], column.type) for column in rows.columns
    ]
    return pa.RecordBatch.from_arrays(
        [column.dictionary_encode() if pa.types.is_string(column.type) else column for column in columns],
        names=rows.column_names,
    )


def _cast(reader: pa.RecordBatchReader, declared: Table) -> pa.RecordBatchReader:
    return pa.RecordBatchReader.from_batches(declared.schema, (batch.cast(declared.schema) for batch in reader))
