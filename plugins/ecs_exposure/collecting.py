"""Collecting: plan the batches, ask AWS in two waves, validate, commit to the lake.

Every function may be run again for the same day: what has an `ok` coverage row is not asked for twice.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pyarrow as pa

from ecs_exposure import databases
from ecs_exposure import gate as gates
from ecs_exposure.aws import AwsAccess
from ecs_exposure.collectors import IMAGE_DATASETS, REGION_DATASETS, Target, TargetResult, collect_target
from ecs_exposure.collectors.detail_answers import WEEK, Answer
from ecs_exposure.collectors.images import ImageRequest, collect_images
from ecs_exposure.collectors.organizations import discover
from ecs_exposure.collectors.task_definitions import extractor_version
from ecs_exposure.images import REQUEST_DATASETS, image_requests, regions_of
from ecs_exposure.lake import Lake, SnapshotWriter
from ecs_exposure.schemas import Table
from ecs_exposure.schemas.snapshots import SNAPSHOTS
from ecs_exposure.settings import Settings

log = logging.getLogger(__name__)

Batch = dict[str, Any]
"""One mapped task's work, small and JSON-able: its id, and its accounts, Regions or pairs of both; never a row."""

TARGETS_A_BATCH = 12
IMAGE_FRAME_ROWS = 50_000
"""Rows of the second wave validated and written at once: its memory is a few copies of a frame."""

DEFINITION_DATASETS = ("task_definition", "container", "volume", "credential")


class CollectError(Exception):
    """Targets of a batch failed and are worth another try; what was collected is in the lake and is not collected
    again.
    """


@dataclass(frozen=True)
class CollectSummary:
    """What one batch saw: target × dataset pairs by status, rows written, AWS calls made."""

    statuses: dict[str, int]
    rows: int
    api_calls: int


def plan(settings: Settings, access: AwsAccess, lake: Lake, day: date) -> list[Batch]:
    """List the organisation, write its datasets (accounts, service control policies), and split its targets into at
    most `max_batches` batches, whole accounts each.

    Raises collectors.organizations.DiscoveryError when the organisation cannot be listed.
    """
    organization = discover(access, settings, day)
    writer = lake.writer(day, f"organization-{secrets.token_hex(4)}")
    for name, rows in organization.rows.items():
        if rows:
            writer.write(SNAPSHOTS[name], SNAPSHOTS[name].to_arrow({"observed_date": day, **row} for row in rows))
    writer.commit(
        _filed(row, writer, rows=bool(organization.rows.get(row["dataset"])) and row["status"] == "ok")
        for row in organization.coverage
    )
    log.info("%s: %d accounts, %d targets", day, len(organization.accounts), len(organization.targets))
    regions_of_account: dict[str, list[str]] = {}
    for target in sorted(organization.targets):
        regions_of_account.setdefault(target.account_id, []).append(target.region)
    accounts = list(regions_of_account.items())
    per_batch = max(1, TARGETS_A_BATCH // max(1, len(settings.regions) + 1), -(-len(accounts) // settings.max_batches))
    return [
        {
            "id": f"targets-{index // per_batch:03d}",
            "targets": [[account, region] for account, regions in part for region in regions],
        }
        for index in range(0, len(accounts), per_batch)
        for part in [accounts[index : index + per_batch]]
    ]


def collect(
    settings: Settings, access: AwsAccess, lake: Lake, day: date, batch: Batch, *, is_last_try: bool = True
) -> CollectSummary:
    """Collect one batch's targets that have no `ok` coverage yet, validate per dataset, and commit.

    Raises CollectError when targets failed (not: denied, not enabled) and this is not the last try.
    """
    targets = [Target(*pair) for pair in batch["targets"]]
    accounts = sorted({target.account_id for target in targets})
    seen: dict[Target, set[str]] = {target: set() for target in targets}
    for row in lake.coverage(day).to_pylist():
        target = Target(row["account_id"], row["region"])
        if row["status"] == "ok" and target in seen:
            seen[target].add(row["dataset"])
    key = _fingerprint_key(settings, lake)
    known = _known_definitions(lake, day, accounts, extractor_version(key))
    with ThreadPoolExecutor(max_workers=settings.threads) as pool:
        results = list(
            pool.map(
                lambda target: collect_target(
                    access,
                    settings,
                    target,
                    snapshot_date=day,
                    skip=frozenset(seen[target]),
                    known_definitions=known,
                    fingerprint_key=key,
                ),
                targets,
            )
        )
    for account_id in accounts:
        access.release(account_id)
    coverage = _write_batch(lake, day, batch["id"], results)
    return _summarise(batch["id"], coverage, is_last_try)


def plan_images(settings: Settings, lake: Lake, day: date) -> list[Batch]:
    """One batch per Region that holds running images; what could not be seen today is carried over first, so that its
    images are asked for too.
    """
    gates.carry_over(lake, day, [name for name in SNAPSHOTS if name not in IMAGE_DATASETS])
    return [{"id": f"images-{region}", "region": region} for region in regions_of(_image_requests(lake, day))]


def collect_image_batch(
    settings: Settings, access: AwsAccess, lake: Lake, day: date, batch: Batch, *, is_last_try: bool = True
) -> CollectSummary:
    """Second wave: ask ECR and Amazon Inspector about one Region's running images, streaming rows to the lake in
    validated chunks.

    Registries outside the organisation (or excluded from the scan) are recorded as such and not called.
    """
    coverage_so_far = lake.coverage(day).to_pylist()
    status_of = {(row["account_id"], row["region"], row["dataset"]): row["status"] for row in coverage_so_far}
    # A registry is called when its account is scanned; one whose own role is denied may still be seen through
    # Inspector's administrator.
    reachable = {
        row["account_id"]
        for row in coverage_so_far
        if row["dataset"] in REGION_DATASETS and row["status"] != "excluded"
    }
    requests = [
        request
        for request in _image_requests(lake, day)
        if request.region == batch["region"]
        and not all(status_of.get((request.account_id, request.region, name)) == "ok" for name in IMAGE_DATASETS)
    ]
    foreign = sorted({request.account_id for request in requests} - reachable)
    writer = lake.writer(day, _part(batch["id"]))
    buffers: dict[str, list[tuple[Target, pa.Table]]] = {}
    invalid: dict[tuple[Target, str], str] = {}
    coverage: list[dict[str, Any]] = []
    written: set[tuple[Target, str]] = set()

    def flush(name: str) -> None:
        for target, why in _validated_write(lake, day, writer, SNAPSHOTS[name], buffers.pop(name, []), written):
            invalid[(target, name)] = why

    reached = [request for request in requests if request.account_id in reachable]
    answers = _detail_answers(lake, day) if reached else {}
    for target, name, rows in (
        collect_images(access, settings, batch["region"], reached, snapshot_date=day, answers=answers)
        if reached
        else ()
    ):
        if name == "coverage":
            coverage += rows
            continue
        # Typed at once: as Arrow a row takes a tenth of what it takes as a dictionary.
        table = _typed(lake, day, SNAPSHOTS[name], rows)
        if isinstance(table, str):
            invalid[(target, name)] = table
            continue
        buffers.setdefault(name, []).append((target, table))
        if sum(part.num_rows for _, part in buffers[name]) >= IMAGE_FRAME_ROWS:
            flush(name)
    for name in list(buffers):
        flush(name)
    for account_id in foreign:
        message = "this registry's account is not in the scanned organisation: its images' vulnerabilities are not seen"
        coverage += _foreign_coverage(account_id, batch["region"], message)
    for row in coverage:
        target = Target(row["account_id"], row["region"])
        if why := invalid.get((target, row["dataset"])):
            row |= {"status": "invalid", "message": why, "observed_date": None}
    rows_committed = [
        _filed(
            row,
            writer,
            rows=(Target(row["account_id"], row["region"]), row["dataset"]) in written and row["status"] == "ok",
        )
        for row in coverage
    ]
    writer.commit(rows_committed)
    return _summarise(batch["id"], rows_committed, is_last_try)


def gate(settings: Settings, lake: Lake, day: date) -> gates.GateSummary:
    """See gate.run."""
    image_targets = {(request.account_id, request.region) for request in _image_requests(lake, day)}
    return gates.run(lake, settings.sql, day, image_targets)


def _known_definitions(
    lake: Lake, day: date, accounts: Sequence[str], version: str
) -> Mapping[str, Mapping[str, list[dict[str, Any]]]]:
    """Task definitions of the last assessed day (or of an earlier try of this one), by ARN, of the present extractor
    version.
    """
    known: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for source in (lake.previous_day(day), day):
        if source is None:
            continue
        coverage = lake.coverage(source)
        for name in DEFINITION_DATASETS:
            for row in lake.rows(source, SNAPSHOTS[name], accounts, coverage).to_pylist():
                if name == "task_definition":
                    if row["extractor_version"] != version:
                        continue
                    known[row["task_definition_arn"]] = {dataset: [] for dataset in DEFINITION_DATASETS}
                if row["task_definition_arn"] in known:
                    known[row["task_definition_arn"]][name].append(row)
    return known


def _detail_answers(lake: Lake, day: date) -> dict[str, Answer]:
    """What Inspector last answered about each vulnerability, on the last assessed day or in an earlier try of this one.

    Answers of a week ago and older are left out: they are due anyway.
    """
    name = "vulnerability_detail"
    kept = [
        column for column in SNAPSHOTS[name].column_names if column not in ("account_id", "region", "observed_date")
    ]
    answers: dict[str, Answer] = {}
    for source in (lake.previous_day(day), day):
        if source is None:
            continue
        with databases.connect() as connection:
            lake.attach_snapshot(connection, source, "snapshot", datasets=[name])
            found = connection.sql(
                f"""select region, {", ".join(kept)} from snapshot.{name} where asked_date > ?
                qualify row_number() over (
                    partition by vulnerability_id order by asked_date desc, region, account_id
                ) = 1""",
                params=[day - timedelta(days=WEEK)],
            ).to_arrow_table()
        for columns in found.to_pylist():
            region, known = columns.pop("region"), answers.get(columns["vulnerability_id"])
            # A Region that was done first today has taken over the answer of the day before: it is not its turn.
            if known is None or columns["asked_date"] > known.asked_date:
                answers[columns["vulnerability_id"]] = Answer(columns["asked_date"], region, columns)
    return answers


def _image_requests(lake: Lake, day: date) -> list[ImageRequest]:
    with databases.connect() as connection:
        lake.attach_snapshot(connection, day, "snapshot", datasets=REQUEST_DATASETS)
        lake.attach_results(connection, lake.previous_day(day), "previous", tables=("service_image",))
        return image_requests(connection, day)


def _fingerprint_key(settings: Settings, lake: Lake) -> bytes:
    return settings.fingerprint_key.get_secret_value().encode() if settings.fingerprint_key else lake.fingerprint_key()


def _part(batch_id: str) -> str:
    return f"{batch_id}-{secrets.token_hex(4)}"


def _write_batch(lake: Lake, day: date, batch_id: str, results: Sequence[TargetResult]) -> list[dict[str, Any]]:
    """Validate and write one batch's rows dataset by dataset; returns the coverage rows committed."""
    writer = lake.writer(day, _part(batch_id))
    written: set[tuple[Target, str]] = set()
    invalid: dict[tuple[Target, str], str] = {}
    for name in SNAPSHOTS:
        parts = [(result.target, result.rows[name]) for result in results if result.rows.get(name)]
        tables = []
        for target, rows in parts:
            table = _typed(lake, day, SNAPSHOTS[name], rows)
            if isinstance(table, str):
                invalid[(target, name)] = table
            else:
                tables.append((target, table))
        for target, why in _validated_write(lake, day, writer, SNAPSHOTS[name], tables, written):
            invalid[(target, name)] = why
    coverage = []
    for result in results:
        for row in result.coverage:
            pair = (result.target, row["dataset"])
            if pair in invalid:
                row = {**row, "status": "invalid", "message": invalid[pair], "observed_date": None}
            coverage.append(_filed(row, writer, rows=pair in written and row["status"] == "ok"))
    writer.commit(coverage)
    return coverage


def _typed(lake: Lake, day: date, dataset: Table, rows: Sequence[Mapping[str, Any]]) -> pa.Table | str:
    """The rows as the dataset's table; or what is wrong with them, when they went to quarantine.

    Rows whose values have the wrong type cannot be kept as they are (nor may their values be written anywhere: they
    could be secrets); they are quarantined with the offending columns emptied.
    """
    try:
        return dataset.to_arrow(rows)
    except ValueError as error:
        lake.write_quarantine(day, _part("type"), dataset, _emptied(dataset, rows))
        return f"quarantined: {error}"[:500]


def _validated_write(
    lake: Lake,
    day: date,
    writer: SnapshotWriter,
    dataset: Table,
    parts: Sequence[tuple[Target, pa.Table]],
    written: set[tuple[Target, str]],
) -> Iterator[tuple[Target, str]]:
    """Write the rows that fit the dataset's suite; yields (target, why) for those that went to quarantine instead."""
    from ecs_exposure.expectations import offending_targets

    if not parts:
        return
    rows = pa.concat_tables([table for _, table in parts])
    offending = offending_targets(dataset, rows) if rows.num_rows else {}
    of_target: dict[Target, list[pa.Table]] = {}
    for target, table in parts:
        of_target.setdefault(target, []).append(table)
    for target, tables in of_target.items():
        table = pa.concat_tables(tables)
        why = offending.get((target.account_id, target.region))
        if why:
            lake.write_quarantine(day, _part("suite"), dataset, table)
            yield target, f"quarantined: {why}"[:500]
        else:
            writer.write(dataset, table)
            if table.num_rows:
                written.add((target, dataset.name))


def _emptied(dataset: Table, rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    arrays = []
    for column in dataset.columns:
        try:
            arrays.append(pa.array([row.get(column.name) for row in rows], type=column.type))
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
            arrays.append(pa.nulls(len(rows), column.type))
    return pa.Table.from_arrays(arrays, schema=dataset.schema)


def _filed(row: Mapping[str, Any], writer: SnapshotWriter, *, rows: bool) -> dict[str, Any]:
    return {**row, "file": writer.file if rows else None}


def _foreign_coverage(account_id: str, region: str, message: str) -> Iterator[dict[str, Any]]:
    for name in IMAGE_DATASETS:
        yield {
            "account_id": account_id,
            "region": region,
            "dataset": name,
            "status": "excluded",
            "rows": None,
            "api_calls": 0,
            "message": message,
            "collected_at": datetime.now(UTC),
            "observed_date": None,
        }


def _summarise(batch_id: str, coverage: Sequence[Mapping[str, Any]], is_last_try: bool) -> CollectSummary:
    statuses: dict[str, int] = {}
    for row in coverage:
        statuses[row["status"]] = statuses.get(row["status"], 0) + 1
    if statuses.get("failed") and not is_last_try:
        failed = sorted(
            {
                f"{row['account_id']}/{row['region']} {row['dataset']}: {row['message']}"
                for row in coverage
                if row["status"] == "failed"
            }
        )
        raise CollectError(f"{batch_id}: {len(failed)} failed and will be tried again, e.g. {failed[0]}")
    return CollectSummary(
        statuses, sum(row["rows"] or 0 for row in coverage), sum(row["api_calls"] for row in coverage)
    )
