"""The gate: what it stops, what it sets aside, and what it carries over from the last day something was seen."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from ecs_exposure import gate
from ecs_exposure.collectors import GLOBAL_DATASETS, REGION_DATASETS
from ecs_exposure.lake import Lake
from ecs_exposure.schemas.results import RESULTS
from ecs_exposure.schemas.snapshots import SNAPSHOTS

SQL = Path(__file__).parents[1] / "sql"
DAY = date(2026, 11, 2)
REGION = "eu-west-1"
ACCOUNTS = [f"{number}" * 12 for number in range(1, 8)]


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake.open(str(tmp_path / "lake"), create=True)


def night(
    lake: Lake, day: date, statuses: dict[str, str] | None = None, clusters: int = 1, skip: tuple[str, ...] = ()
) -> None:
    """A collected night: every account has its Region and global targets; `statuses` are those of accounts not ok."""
    writer = lake.writer(day, f"night-{day}")
    coverage: list[dict[str, Any]] = []
    for account in ACCOUNTS:
        status = (statuses or {}).get(account, "ok")
        for region, datasets in ((REGION, REGION_DATASETS), ("global", GLOBAL_DATASETS)):
            for dataset in datasets:
                if account in skip and dataset == REGION_DATASETS[-1]:
                    continue
                rows = clusters if dataset == "cluster" and status == "ok" else 0
                if rows:
                    writer.write(
                        SNAPSHOTS["cluster"],
                        SNAPSHOTS["cluster"].to_arrow(
                            {
                                "account_id": account,
                                "region": region,
                                "observed_date": day,
                                "cluster_name": f"{number}",
                                "cluster_arn": f"arn:aws:ecs:{region}:{account}:cluster/{number}",
                            }
                            for number in range(rows)
                        ),
                    )
                coverage.append(
                    {
                        "account_id": account,
                        "region": region,
                        "dataset": dataset,
                        "status": status,
                        "rows": rows if status == "ok" else None,
                        "api_calls": 1,
                        "collected_at": datetime.now(UTC),
                        "observed_date": day if status == "ok" else None,
                        "file": writer.file if rows else None,
                    }
                )
    writer.commit(coverage)


def assessed(lake: Lake, day: date) -> None:
    """Only the commit record matters here: it makes `day` the previous day of the next."""
    lake.commit_day(day, "run", "rules", [(name, declared.schema.empty_table()) for name, declared in RESULTS.items()])


def clusters_of(lake: Lake, day: date, account: str) -> list[tuple[str, date]]:
    with duckdb.connect() as connection:
        lake.attach_snapshot(connection, day)
        return connection.execute(
            "select cluster_name, observed_date from snapshot.cluster where account_id = ? order by all", [account]
        ).fetchall()


def coverage_of(lake: Lake, day: date, account: str, dataset: str) -> dict[str, Any]:
    (row,) = [
        row for row in lake.coverage(day).to_pylist() if row["account_id"] == account and row["dataset"] == dataset
    ]
    return row


def test_what_was_not_seen_keeps_the_rows_of_the_last_day_it_was(lake: Lake) -> None:
    night(lake, DAY)
    gate.run(lake, SQL, DAY, set())
    assessed(lake, DAY)
    for later in (1, 2):
        day = DAY + timedelta(days=later)
        night(lake, day, {ACCOUNTS[0]: "denied"})
        gate.run(lake, SQL, day, set())
        assessed(lake, day)
        assert clusters_of(lake, day, ACCOUNTS[0]) == [("0", DAY)]
        assert clusters_of(lake, day, ACCOUNTS[1]) == [("0", day)]
        row = coverage_of(lake, day, ACCOUNTS[0], "cluster")
        assert (row["status"], row["rows"], row["observed_date"]) == ("denied", None, DAY)


def test_an_account_never_seen_stays_unknown(lake: Lake) -> None:
    night(lake, DAY, {ACCOUNTS[0]: "denied"})
    summary = gate.run(lake, SQL, DAY, set())
    assert summary.carried == 0
    assert coverage_of(lake, DAY, ACCOUNTS[0], "service")["observed_date"] is None


def test_running_the_gate_again_carries_nothing_twice(lake: Lake) -> None:
    night(lake, DAY)
    gate.run(lake, SQL, DAY, set())
    assessed(lake, DAY)
    day = DAY + timedelta(days=1)
    night(lake, day, {ACCOUNTS[0]: "failed"})
    gate.run(lake, SQL, day, set())
    gate.run(lake, SQL, day, set())
    assert clusters_of(lake, day, ACCOUNTS[0]) == [("0", DAY)]


def test_too_many_lost_targets_stop_the_run(lake: Lake) -> None:
    night(lake, DAY, dict.fromkeys(ACCOUNTS[:2], "failed"))
    with pytest.raises(gate.GateError, match=r"4 of 14 targets were lost .*gate\.csv"):
        gate.run(lake, SQL, DAY, set())


def test_accounts_that_deny_from_the_start_do_not_stop_the_run(lake: Lake) -> None:
    night(lake, DAY, dict.fromkeys(ACCOUNTS[:4], "denied"))
    assert gate.run(lake, SQL, DAY, set()).targets_lost == 0


def test_nothing_seen_at_all_stops_the_run(lake: Lake) -> None:
    night(lake, DAY, dict.fromkeys(ACCOUNTS, "denied"))
    with pytest.raises(gate.GateError, match="nothing was seen"):
        gate.run(lake, SQL, DAY, set())


def test_no_targets_stop_the_run(lake: Lake) -> None:
    with pytest.raises(gate.GateError, match="no targets"):
        gate.run(lake, SQL, DAY, set())


def test_a_dataset_that_was_never_collected_is_failed_not_absent(lake: Lake) -> None:
    night(lake, DAY, skip=(ACCOUNTS[0],))
    summary = gate.run(lake, SQL, DAY, {(ACCOUNTS[1], "us-east-1")})
    row = coverage_of(lake, DAY, ACCOUNTS[0], REGION_DATASETS[-1])
    assert row["status"] == "failed"
    assert "run the scan of this day again" in row["message"]
    assert coverage_of(lake, DAY, ACCOUNTS[1], "image_finding")["status"] == "failed"
    assert summary.targets_lost == 2


def test_a_collapse_is_set_aside_for_one_night_and_believed_on_the_second(lake: Lake) -> None:
    night(lake, DAY, clusters=40)
    gate.run(lake, SQL, DAY, set())
    assessed(lake, DAY)
    collapsed = DAY + timedelta(days=1)
    night(lake, collapsed, clusters=40)
    writer = lake.writer(collapsed, "z-later")
    row = coverage_of(lake, collapsed, ACCOUNTS[0], "cluster")
    writer.commit([{**row, "rows": 3, "file": None, "collected_at": datetime.now(UTC)}])
    summary = gate.run(lake, SQL, collapsed, set())
    assert summary.quarantined == 1
    row = coverage_of(lake, collapsed, ACCOUNTS[0], "cluster")
    assert (row["status"], row["rows"], row["observed_date"]) == ("invalid", 3, DAY)
    assert len(clusters_of(lake, collapsed, ACCOUNTS[0])) == 40
    assessed(lake, collapsed)
    believed = collapsed + timedelta(days=1)
    night(lake, believed, clusters=40)
    writer = lake.writer(believed, "z-later")
    row = coverage_of(lake, believed, ACCOUNTS[0], "cluster")
    writer.commit([{**row, "rows": 3, "file": None, "collected_at": datetime.now(UTC)}])
    assert gate.run(lake, SQL, believed, set()).quarantined == 0


def test_data_docs_are_a_page_in_the_lake(lake: Lake) -> None:
    night(lake, DAY)
    summary = gate.run(lake, SQL, DAY, set())
    assert "html" in Path(summary.docs).read_text(encoding="utf-8")[:200]
