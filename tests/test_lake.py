"""The lake: what is committed exists, what is not does not; damage is named; a day becomes visible at once."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ecs_exposure.lake import Lake, LakeError
from ecs_exposure.retention import expired, retain
from ecs_exposure.schemas.results import RESULTS
from ecs_exposure.schemas.snapshots import SNAPSHOTS

DAY = date(2026, 11, 2)
ACCOUNT = "111111111111"
CLUSTER = SNAPSHOTS["cluster"]
LIFECYCLE = RESULTS["lifecycle"]


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake.open(str(tmp_path / "a lake"), create=True)


def clusters(*names: str, account_id: str = ACCOUNT) -> pa.Table:
    return CLUSTER.to_arrow(
        {
            "account_id": account_id,
            "region": "eu-west-1",
            "observed_date": DAY,
            "cluster_arn": f"arn:{account_id}:{name}",
            "cluster_name": name,
        }
        for name in names
    )


def covered(file: str | None, *, account_id: str = ACCOUNT, status: str = "ok", minute: int = 0) -> dict[str, object]:
    return {
        "account_id": account_id,
        "region": "eu-west-1",
        "dataset": "cluster",
        "status": status,
        "rows": 1,
        "api_calls": 1,
        "collected_at": datetime(2026, 11, 2, 3, minute, tzinfo=UTC),
        "observed_date": DAY if status == "ok" else None,
        "file": file,
    }


def commit(lake: Lake, part: str, rows: pa.Table, **coverage: object) -> None:
    writer = lake.writer(DAY, part)
    writer.write(CLUSTER, rows)
    writer.commit([covered(writer.file, **coverage)])


def names(lake: Lake, day: date = DAY) -> set[str]:
    with duckdb.connect() as connection:
        lake.attach_snapshot(connection, day)
        return {row[0] for row in connection.execute("select cluster_name from snapshot.cluster").fetchall()}


def lifecycle(day: date) -> pa.Table:
    return LIFECYCLE.to_arrow(
        [
            {
                "snapshot_date": day,
                "account_id": ACCOUNT,
                "region": "eu-west-1",
                "resource_id": "svc",
                "first_observed_date": day,
                "last_observed_date": day,
            }
        ]
    )


def test_rows_without_their_coverage_part_do_not_exist(lake: Lake) -> None:
    writer = lake.writer(DAY, "batch-1")
    writer.write(CLUSTER, clusters("killed"))
    assert names(lake) == set()
    writer.commit([covered(writer.file)])
    assert names(lake) == {"killed"}


def test_the_last_word_on_a_target_decides_which_file_holds_its_rows(lake: Lake) -> None:
    commit(lake, "first", clusters("old"))
    commit(lake, "second", clusters("new"), minute=5)
    assert names(lake) == {"new"}
    assert [row["file"] for row in lake.coverage(DAY).to_pylist()] == ["second.parquet"]


def test_rows_of_a_target_whose_coverage_was_withdrawn_are_not_read(lake: Lake) -> None:
    commit(lake, "first", clusters("good"))
    lake.writer(DAY, "gate").commit([covered(None, status="invalid", minute=5)])
    assert names(lake) == set()


def test_a_truncated_part_is_named_and_nothing_is_deleted(lake: Lake, tmp_path: Path) -> None:
    commit(lake, "batch", clusters("a"))
    part = next((tmp_path / "a lake" / "snapshots" / "cluster").rglob("*.parquet"))
    part.write_bytes(part.read_bytes()[:-10])
    with pytest.raises(
        LakeError, match=r"cluster/snapshot_date=2026-11-02/batch\.parquet is truncated .* Nothing was deleted"
    ):
        names(lake)
    assert part.exists()


def test_a_part_that_a_commit_record_names_and_that_is_gone_is_an_error(lake: Lake, tmp_path: Path) -> None:
    commit(lake, "batch", clusters("a"))
    next((tmp_path / "a lake" / "snapshots" / "cluster").rglob("*.parquet")).unlink()
    with pytest.raises(LakeError, match="missing"):
        names(lake)


def test_columns_that_an_old_file_lacks_read_as_null(lake: Lake, tmp_path: Path) -> None:
    commit(lake, "batch", clusters("a"))
    part = next((tmp_path / "a lake" / "snapshots" / "cluster").rglob("*.parquet"))
    pq.write_table(pq.read_table(part, partitioning=None).drop_columns(["standalone_task_count"]), part)
    commit(lake, "other", clusters("b", account_id="222222222222"), account_id="222222222222")
    with duckdb.connect() as connection:
        lake.attach_snapshot(connection, DAY)
        rows = connection.execute(
            "select cluster_name, standalone_task_count from snapshot.cluster order by 1"
        ).fetchall()
    assert rows == [("a", None), ("b", None)]
    assert lake.rows(DAY, CLUSTER, {ACCOUNT}, lake.coverage(DAY)).schema == CLUSTER.schema


def test_a_day_is_visible_only_once_committed_and_a_later_run_replaces_it(lake: Lake, tmp_path: Path) -> None:
    assert lake.days() == []
    lake.commit_day(DAY, "run-1", "rules-a", [("lifecycle", lifecycle(DAY))])
    lake.commit_day(DAY, "run-2", "rules-b", [("lifecycle", lifecycle(DAY))])
    assert lake.day(DAY).rules_version == "rules-b"
    files = [path.name for path in (tmp_path / "a lake" / "results" / "lifecycle").rglob("*.parquet")]
    assert files == ["run-2.parquet"]


def test_a_day_that_is_replaced_while_it_is_opened_is_read_as_it_is_now(lake: Lake) -> None:
    lake.commit_day(DAY, "run-1", "rules-a", [("lifecycle", lifecycle(DAY))])
    local = lake.storage.local

    def replacing(files: Iterable[str]) -> list[str]:
        lake.storage.local = local  # type: ignore[method-assign]
        lake.commit_day(DAY, "run-2", "rules-b", [("lifecycle", lifecycle(DAY))])
        return local(files)

    lake.storage.local = replacing  # type: ignore[method-assign]
    with duckdb.connect() as connection:
        lake.attach_results(connection, DAY, "today")
        assert connection.execute("select count(*) from today.lifecycle").fetchall() == [(1,)]


def test_a_result_file_that_is_gone_is_named(lake: Lake, tmp_path: Path) -> None:
    lake.commit_day(DAY, "run-1", "rules-a", [("lifecycle", lifecycle(DAY))])
    next((tmp_path / "a lake" / "results" / "lifecycle").rglob("*.parquet")).unlink()
    with duckdb.connect() as connection, pytest.raises(LakeError, match=r"lifecycle/.*/run-1.parquet is named"):
        lake.attach_results(connection, DAY, "today")


def test_history_reads_only_the_files_of_the_days_asked_for(lake: Lake) -> None:
    for offset in range(5):
        day = DAY + timedelta(days=offset)
        lake.commit_day(day, "run", "rules", [("lifecycle", lifecycle(day))])
    since = DAY + timedelta(days=3)
    read: list[str] = []
    local = lake.storage.local
    lake.storage.local = lambda files: local(read.extend(list(files)) or read)  # type: ignore[method-assign]
    with duckdb.connect() as connection:
        lake.attach_history(connection, "history", since=since)
        days = connection.execute("select snapshot_date from history.lifecycle order by 1").fetchall()
    assert [row[0] for row in days] == [since, since + timedelta(days=1)]
    assert {file.split("=")[1][:10] for file in read} == {"2026-11-05", "2026-11-06"}


def test_a_lake_that_cannot_be_written_to_says_so(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(LakeError, match="ECS_EXPOSURE_LAKE"):
        Lake.open(str(tmp_path / "file" / "lake"), create=True)


def test_no_lake_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(LakeError, match="ecs-exposure scan"):
        Lake.open(str(tmp_path / "nowhere"))


def test_two_scans_at_once_are_refused(lake: Lake) -> None:
    with lake.lock(), pytest.raises(LakeError, match="another scan"), Lake.open(lake.location).lock():
        pass
    with lake.lock():
        pass


def test_the_fingerprint_key_is_made_once_and_readable_by_its_owner_only(lake: Lake, tmp_path: Path) -> None:
    key = lake.fingerprint_key()
    assert len(key) == 32
    assert lake.fingerprint_key() == key
    assert (tmp_path / "a lake" / ".fingerprint-key").stat().st_mode & 0o777 == 0o600


def test_tasks_that_begin_together_get_the_same_fingerprint_key(lake: Lake) -> None:
    with ThreadPoolExecutor(max_workers=16) as pool:
        assert len(set(pool.map(lambda _: Lake.open(lake.location).fingerprint_key(), range(64)))) == 1


def test_a_fingerprint_key_that_was_damaged_is_told(lake: Lake, tmp_path: Path) -> None:
    (tmp_path / "a lake" / ".fingerprint-key").write_text("half a k")
    with pytest.raises(LakeError, match="holds no key"):
        lake.fingerprint_key()


def test_snapshots_are_kept_daily_for_35_days_then_weekly_for_a_year() -> None:
    days = [DAY - timedelta(days=age) for age in range(500)]
    gone = expired(days, days, DAY)
    kept = sorted(set(days) - set(gone.snapshots))
    assert [day for day in kept if DAY - day <= timedelta(days=35)] == sorted(days[:36])
    older = [day for day in kept if DAY - day > timedelta(days=35)]
    assert min(older) >= DAY - timedelta(days=365)
    weeks = [day.isocalendar()[:2] for day in older]
    assert len(weeks) == len(set(weeks))
    assert len(weeks) >= 46
    assert gone.results == ()
    assert max(gone.image_vulnerabilities) == DAY - timedelta(days=401)


def test_retention_forgets_image_vulnerabilities_and_keeps_the_rest_of_the_day(lake: Lake) -> None:
    old = DAY - timedelta(days=401)
    vulnerability = RESULTS["image_vulnerability"]
    row = {
        "snapshot_date": old,
        "registry_account": ACCOUNT,
        "region": "eu-west-1",
        "repository_name": "r",
        "image_digest": "sha256:0",
        "vulnerability_id": "CVE-2026-1",
        "package_name": "p",
        "is_kernel_package": False,
        "high_priority": False,
        "is_suppressed": False,
        "is_carried": False,
        "observed_date": old,
    }
    lake.commit_day(
        old, "run", "rules", [("image_vulnerability", vulnerability.to_arrow([row])), ("lifecycle", lifecycle(old))]
    )
    lake.commit_day(DAY, "run", "rules", [("lifecycle", lifecycle(DAY))])
    retain(lake)
    assert set(lake.day(old).files) == {"lifecycle"}
    with duckdb.connect() as connection:
        lake.attach_history(connection, "history")
        assert connection.execute("select count(*) from history.image_vulnerability").fetchone() == (0,)
        assert connection.execute("select count(*) from history.lifecycle").fetchone() == (2,)


def test_retention_sweeps_files_that_no_commit_record_names_except_of_the_last_day(lake: Lake) -> None:
    for day in (DAY, DAY + timedelta(days=1)):
        writer = lake.writer(day, "committed")
        writer.write(CLUSTER, clusters("kept"))
        writer.commit([covered(writer.file)])
        killed = lake.writer(day, "killed")
        killed.write(CLUSTER, clusters("lost"))
        lake.commit_day(day, "run", "rules", [("lifecycle", lifecycle(day))])
    retain(lake)
    files = [lake.storage.files(f"snapshots/cluster/snapshot_date={day}") for day in (DAY, DAY + timedelta(days=1))]
    assert [len(names) for names in files] == [1, 2]
    assert names(lake) == {"kept"}
