"""The gate: is the night complete and plausible enough to be believed? And what was not seen is carried over from the
last day it was.

Unknown is never rendered as zero: a target × dataset without an `ok` row keeps the rows of the last day it was seen,
each row with its own `observed_date`, so that every day of the lake is complete in itself and may be assessed again
without looking further back.
"""

from __future__ import annotations

import csv
import secrets
import tempfile
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from ecs_exposure.collectors import GLOBAL_DATASETS, IMAGE_DATASETS, REGION_DATASETS
from ecs_exposure.collectors.organizations import ORGANIZATION_DATASETS
from ecs_exposure.databases import connect, create_empty
from ecs_exposure.lake import Lake
from ecs_exposure.schemas.results import COVERAGE
from ecs_exposure.schemas.snapshots import FEED_DATASETS, SNAPSHOTS

LOST = ("failed", "invalid")
"""Statuses that are our failure to see; `denied`, `not_enabled` and `excluded` are the organisation's own doing."""

PROFILED = ("deployment", "role", "task_definition")
"""The datasets whose rows the cross-table profile reads; of all others it reads the coverage."""


class GateError(Exception):
    """The night is past a threshold of sql/reference/gate.csv and must not be assessed; nothing was deleted."""


@dataclass(frozen=True)
class GateSummary:
    """What the gate saw, counted in targets (account × Region) and in target × dataset pairs."""

    targets: int
    targets_lost: int
    not_seen: int
    carried: int
    quarantined: int
    docs: str


def thresholds(sql: Path) -> dict[str, float]:
    """The name → value pairs of sql/reference/gate.csv."""
    with open(sql / "reference" / "gate.csv", encoding="utf-8") as handle:
        return {
            row["name"]: float(row["value"])
            for row in csv.DictReader(line for line in handle if not line.startswith("#"))
        }


def carry_over(lake: Lake, day: date, datasets: Collection[str], *, extra: Iterable[dict[str, Any]] = ()) -> None:
    """Give every target × dataset that was not seen today the rows of the last day it was.

    `extra` are coverage rows to record besides (they win over what is there). Running it again carries nothing twice.
    """
    coverage = {_key(row): row for row in lake.coverage(day).to_pylist()}
    changed = {_key(row): row for row in extra}
    coverage |= changed
    previous_day = lake.previous_day(day)
    coverage_before = lake.coverage(previous_day) if previous_day else COVERAGE.schema.empty_table()
    before = {_key(row): row for row in coverage_before.to_pylist()}
    wanted: dict[str, dict[tuple[str, str], date]] = {}
    for key, row in coverage.items():
        past = before.get(key)
        if (
            row["status"] == "ok"
            or row["observed_date"]
            or row["dataset"] not in datasets
            or not past
            or not past["observed_date"]
        ):
            continue
        wanted.setdefault(row["dataset"], {})[(row["account_id"], row["region"])] = past["observed_date"]
    writer = lake.writer(day, f"carried-{secrets.token_hex(4)}")
    now = datetime.now(UTC)
    for name, targets in sorted(wanted.items()):
        assert previous_day is not None
        rows = lake.rows(previous_day, SNAPSHOTS[name], {account_id for account_id, _ in targets}, coverage_before)
        seen = set()
        keep = []
        for index, target in enumerate(zip(rows["account_id"].to_pylist(), rows["region"].to_pylist(), strict=True)):
            if target in targets:
                keep.append(index)
                seen.add(target)
        writer.write(SNAPSHOTS[name], rows.take(pa.array(keep, pa.int64())))
        for (account_id, region), observed in targets.items():
            row = coverage[(account_id, region, name)]
            file = writer.file if (account_id, region) in seen else None
            changed[(account_id, region, name)] = {**row, "observed_date": observed, "file": file, "collected_at": now}
    writer.commit({**row, "collected_at": now} for row in changed.values())


def run(lake: Lake, sql: Path, day: date, image_targets: Collection[tuple[str, str]]) -> GateSummary:
    """Check the night, quarantine what collapsed, carry over what was not seen, and build Data Docs.

    `image_targets` are the (registry account, Region) pairs that hold running images: each must have been asked.
    Raises GateError when nothing at all was seen, or more than `max_lost_target_share` of the targets were lost:
    failed, invalid, or not seen today although they were seen on the last assessed day.
    """
    from ecs_exposure.expectations import NIGHT_PAGE, validate_profile

    limits = thresholds(sql)
    previous_day = lake.previous_day(day)
    with connect() as connection:
        lake.attach_snapshot(connection, day, "snapshot", datasets=PROFILED)
        create_empty(connection, "before", {"coverage": COVERAGE})
        if previous_day:
            connection.register("coverage_before", lake.coverage(previous_day))
            connection.execute("insert into before.coverage select * from coverage_before")
        _expected(connection, image_targets)
        profile = _profile(connection, limits["collapse_min_rows"])
    if profile.num_rows == 0:
        raise GateError(
            f"{day}: no targets; the organisation listed no accounts to scan (check include and exclude settings)"
        )
    with tempfile.TemporaryDirectory(prefix="data-docs-") as folder:
        documents = Path(folder) / str(day)
        failures = validate_profile(profile, collapse_share=limits["collapse_share"], docs=documents)
        docs = f"{lake.storage.put_documents(f'data_docs/snapshot_date={day}', documents)}/{NIGHT_PAGE}"
    now = datetime.now(UTC)
    rows = {(row["account_id"], row["region"], row["dataset"]): row for row in profile.to_pylist()}
    extra = []
    for failure in failures:
        key = (failure["account_id"], failure["region"], failure["dataset"])
        row = rows[key]
        if failure["what"] == "status":
            message = "never collected: its batch died; run the scan of this day again"
            extra.append(_coverage_row(key, "failed", message, day, now, None))
        elif failure["what"] == "row_share":
            message = (
                f"{row['rows']} rows where {row['rows_before']} were seen last: a collapse, not believed tonight; "
                "if the next night says the same, it will be"
            )
            extra.append(_coverage_row(key, "invalid", message, day, now, row["rows"]))
    extra_keys = {_key(row) for row in extra}
    statuses = {
        key: "invalid" if key in extra_keys and row["status"] else row["status"] or "failed"
        for key, row in rows.items()
    }
    if not any(status == "ok" for key, status in statuses.items() if key[2] not in ORGANIZATION_DATASETS):
        raise GateError(
            f"{day}: nothing was seen in any account; check the scanner's credentials, ECS_EXPOSURE_READ_ROLE_NAME and "
            "ECS_EXPOSURE_EXTERNAL_ID (the coverage table says what each account answered)"
        )
    targets = {key[:2] for key in rows}
    lost = {
        key[:2]
        for key, status in statuses.items()
        if status in LOST or (status not in ("ok", "excluded") and rows[key]["was_seen"])
    }
    if len(lost) / len(targets) > limits["max_lost_target_share"]:
        named = ", ".join("/".join(target) for target in sorted(lost)[:5])
        raise GateError(
            f"{day}: {len(lost)} of {len(targets)} targets were lost ({named}{' …' if len(lost) > 5 else ''}), "
            f"more than the {limits['max_lost_target_share']:.0%} of sql/reference/gate.csv. Nothing was assessed or "
            "published; run the scan again, or raise the threshold if this is how the organisation is now"
        )
    carry_over(lake, day, SNAPSHOTS.keys(), extra=extra)
    carried = sum(row["status"] != "ok" and row["observed_date"] is not None for row in lake.coverage(day).to_pylist())
    return GateSummary(
        targets=len(targets),
        targets_lost=len(lost),
        not_seen=sum(status != "ok" for status in statuses.values()),
        carried=carried,
        quarantined=sum(row["status"] == "invalid" for row in extra),
        docs=docs,
    )


def _key(row: dict[str, Any]) -> tuple[str, str, str]:
    return row["account_id"], row["region"], row["dataset"]


def _coverage_row(
    key: tuple[str, str, str], status: str, message: str, day: date, now: datetime, rows: int | None
) -> dict[str, Any]:
    account_id, region, dataset = key
    return {
        "snapshot_date": day,
        "account_id": account_id,
        "region": region,
        "dataset": dataset,
        "status": status,
        "rows": rows,
        "api_calls": 0,
        "message": message,
        "collected_at": now,
        "observed_date": None,
        "file": None,
    }


def _expected(connection: duckdb.DuckDBPyConnection, image_targets: Collection[tuple[str, str]]) -> None:
    """`main.expected`: every target × dataset that must have a coverage row, from the targets that have any and those
    that hold images. The local feeds are not among them: a broken file loses nobody.
    """
    datasets = [("region", name) for name in REGION_DATASETS] + [("global", name) for name in GLOBAL_DATASETS]
    connection.execute("create table main.dataset_of (scope varchar, dataset varchar)")
    connection.executemany("insert into main.dataset_of values (?, ?)", datasets)
    connection.execute("create table main.image_target (account_id varchar, region varchar, dataset varchar)")
    for account_id, region in sorted(image_targets):
        connection.executemany(
            "insert into main.image_target values (?, ?, ?)", [[account_id, region, name] for name in IMAGE_DATASETS]
        )
    others = ", ".join(f"'{name}'" for name in (*ORGANIZATION_DATASETS, *IMAGE_DATASETS, *FEED_DATASETS))
    feeds = ", ".join(f"'{name}'" for name in FEED_DATASETS)
    connection.execute(
        f"""create table main.expected as
        select account_id, region, dataset from snapshot.coverage where dataset not in ({feeds})
        union
        select account_id, region, dataset from main.image_target
        union
        select target.account_id, target.region, dataset_of.dataset
        from (
            select distinct account_id, region from snapshot.coverage where dataset not in ({others})
        ) as target
        join main.dataset_of as dataset_of on dataset_of.scope = if(target.region = 'global', 'global', 'region')"""
    )


def _profile(connection: duckdb.DuckDBPyConnection, collapse_min_rows: float) -> pa.Table:
    """One row per target × dataset: the frame of `validate_profile`, and `rows_before` and `was_seen` for the messages.

    A collapse is judged only where at least `collapse_min_rows` rows were seen last, and only once: a target whose rows
    were refused the night before is compared with those refused rows.
    """
    return connection.sql(
        """with dangling as (
            select deployment.account_id, deployment.region, count(*) as dangling_count
            from snapshot.deployment as deployment
            anti join snapshot.task_definition as task_definition
                on task_definition.account_id = deployment.account_id
                and task_definition.task_definition_arn = deployment.task_definition_arn
            group by all
        ),
        missing_role as (
            select task_definition.account_id, task_definition.region,
                count(distinct task_definition.task_role_arn) as missing_role_count
            from snapshot.task_definition as task_definition
            join snapshot.coverage as coverage
                on coverage.account_id = task_definition.account_id
                and coverage.dataset = 'role' and coverage.status = 'ok'
            anti join snapshot.role as role on role.role_arn = task_definition.task_role_arn
            where task_definition.task_role_arn is not null
            group by all
        )
        select expected.account_id, expected.region, expected.dataset, coverage.status, coverage.rows,
            case when coverage.status = 'ok' and before.rows >= ? then coverage.rows / before.rows end as row_share,
            before.rows as rows_before, coalesce(before.status = 'ok', false) as was_seen,
            if(expected.dataset = 'task_definition', coalesce(dangling.dangling_count, 0), 0) as dangling_count,
            if(expected.dataset = 'task_definition', coalesce(missing_role.missing_role_count, 0), 0)
                as missing_role_count
        from main.expected as expected
        left join snapshot.coverage as coverage using (account_id, region, dataset)
        left join before.coverage as before using (account_id, region, dataset)
        left join dangling using (account_id, region)
        left join missing_role using (account_id, region)
        order by expected.account_id, expected.region, expected.dataset""",
        params=[collapse_min_rows],
    ).to_arrow_table()
