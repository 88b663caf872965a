"""The stage `collect_feeds`: what files say of the day's vulnerabilities is kept; a broken file loses nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from ecs_exposure import gate as gates
from ecs_exposure.collectors import IMAGE_DATASETS, REGION_DATASETS
from ecs_exposure.databases import connect
from ecs_exposure.feeds import collect_feeds, feed_statuses
from ecs_exposure.lake import Lake
from ecs_exposure.schemas.results import RESULTS
from ecs_exposure.schemas.snapshots import FEED_DATASETS, SNAPSHOTS
from ecs_exposure.settings import Settings, load

from tests.sql_harness import SQL, filled

ORGANIZATION, ACCOUNT, REGION = "111111111111", "222222222222", "eu-west-1"
DAY = date(2026, 3, 2)
FOUND, REMEMBERED, ABSENT = "CVE-2021-44228", "CVE-2024-0001", "CVE-2020-0001"


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[Lake]:
    with Lake.open(str(tmp_path / "lake"), create=True) as opened:
        yield opened


def snapshot(lake: Lake, day: date, *vulnerabilities: str) -> None:
    """A day's images with these vulnerabilities, and a service of the same account."""
    finding = {"account_id": ACCOUNT, "region": REGION, "repository_name": "app", "finding_status": "ACTIVE"}
    rows = {
        "image_finding": [finding | {"finding_arn": one, "vulnerability_id": one} for one in vulnerabilities],
        "service": [{"account_id": ACCOUNT, "region": REGION, "resource_id": "svc"}],
    }
    writer = lake.writer(day, f"night-{day}")
    coverage = []
    for name in (*REGION_DATASETS, *IMAGE_DATASETS):
        made = [filled(SNAPSHOTS[name], row, day) for row in rows.get(name, ())]
        writer.write(SNAPSHOTS[name], SNAPSHOTS[name].to_arrow(made))
        coverage.append(
            {
                "account_id": ACCOUNT, "region": REGION, "dataset": name, "status": "ok", "rows": len(made),
                "api_calls": 0, "collected_at": datetime.now(UTC), "observed_date": day,
                "file": writer.file if made else None,
            }
        )  # fmt: skip
    writer.commit(coverage)


def assessed(lake: Lake, day: date, *vulnerabilities: str) -> None:
    """Results of a day that knew these vulnerabilities."""
    declared = RESULTS["vulnerability"]
    rows = [filled(declared, {"vulnerability_id": one, "last_reported_date": day}, day) for one in vulnerabilities]
    images = RESULTS["image_vulnerability"]
    found = [filled(images, {"vulnerability_id": one}, day) for one in vulnerabilities]
    lake.commit_day(
        day, "run", "rules",
        [("vulnerability", declared.to_arrow(rows)), ("image_vulnerability", images.to_arrow(found))],
    )  # fmt: skip


def written(folder: Path, *, day: date = DAY, epss: str | None = None) -> dict[str, Path]:
    """Settings that name one file of each feed."""
    text = epss or f"{FOUND},0.94,0.99\n{REMEMBERED},0.02,0.5\nCVE-1999-0001,0.5,0.9\n"
    catalogue = {
        "dateReleased": f"{day}T10:00:00Z",
        "vulnerabilities": [
            {"cveID": FOUND, "dateAdded": "2021-12-10"},
            {"cveID": "CVE-1999-0002", "dateAdded": "2022-01-01"},
        ],
    }  # fmt: skip
    files = {
        "epss_file": f"#model_version:v4,score_date:{day}T00:00:00+0000\ncve,epss,percentile\n{text}",
        "kev_file": json.dumps(catalogue),
        "vulnrichment_file": f"cve,automatable,technical_impact,exploitation\n{FOUND},yes,total,active\n",
    }
    for name, content in files.items():
        (folder / name).write_text(content)
    return {name: folder / name for name in files}


def configured(lake: Lake, **files: Path) -> Settings:
    return load(lake=lake.location, organization_account_id=ORGANIZATION, **files)


def rows(lake: Lake, day: date, dataset: str) -> list[dict[str, Any]]:
    with connect() as connection:
        lake.attach_snapshot(connection, day, "snapshot", datasets=(dataset,))
        table: pa.Table = connection.sql(f"select * from snapshot.{dataset} order by vulnerability_id").to_arrow_table()
        return table.to_pylist()


def coverage(lake: Lake, day: date) -> dict[str, dict[str, Any]]:
    return {
        row["dataset"]: row
        for row in lake.coverage(day).to_pylist()
        if (row["account_id"], row["region"]) == (ORGANIZATION, "global")
    }


def test_only_the_days_vulnerabilities_are_kept_with_the_files_dates(lake: Lake, tmp_path: Path) -> None:
    assessed(lake, DAY - timedelta(days=1), REMEMBERED)
    snapshot(lake, DAY, FOUND, ABSENT, "GHSA-xxxx", "MAL-2025-1")
    statuses = collect_feeds(configured(lake, **written(tmp_path)), lake, DAY)
    assert statuses == {"EPSS": "ok", "KEV": "ok", "Vulnrichment": "ok"}
    own = {"account_id": ORGANIZATION, "region": "global", "observed_date": DAY}
    scores = [(row["vulnerability_id"], row["epss"]) for row in rows(lake, DAY, "epss_score")]
    assert scores == [(FOUND, 0.94), (REMEMBERED, 0.02)]
    assert rows(lake, DAY, "epss_score")[0] == own | {
        "vulnerability_id": FOUND, "epss": 0.94, "percentile": 0.99, "score_date": DAY, "model_version": "v4",
    }  # fmt: skip
    # What the catalogue does not list is said too: a later day must not have to guess.
    listed = {row["vulnerability_id"]: (row["is_listed"], row["catalog_date"]) for row in rows(lake, DAY, "kev_entry")}
    assert listed == {FOUND: (True, DAY), REMEMBERED: (False, DAY), ABSENT: (False, DAY)}
    [decision] = rows(lake, DAY, "vulnrichment")
    assert decision["automatable"] and decision["exploitation"] == "active"
    assert {name: (row["status"], row["rows"]) for name, row in coverage(lake, DAY).items()} == {
        "epss_score": ("ok", 2), "kev_entry": ("ok", 3), "vulnrichment": ("ok", 1),
    }  # fmt: skip


def test_without_files_nothing_is_enabled_and_nothing_is_written(lake: Lake) -> None:
    snapshot(lake, DAY, FOUND)
    collect_feeds(configured(lake), lake, DAY)
    for row in coverage(lake, DAY).values():
        assert row["status"] == "not_enabled" and "ECS_EXPOSURE_" in row["message"] and row["rows"] is None
    assert not any(rows(lake, DAY, name) for name in FEED_DATASETS)


def test_a_broken_file_is_failed_names_its_line_and_leaves_the_others(lake: Lake, tmp_path: Path) -> None:
    snapshot(lake, DAY, FOUND)
    collect_feeds(configured(lake, **written(tmp_path, epss=f"{FOUND},0.9,\nCVE-x,0.1,\n")), lake, DAY)
    told = coverage(lake, DAY)
    assert told["epss_score"]["status"] == "failed"
    assert "line 4: 'CVE-x' is not a CVE id" in told["epss_score"]["message"]
    assert told["kev_entry"]["status"] == told["vulnrichment"]["status"] == "ok"
    assert rows(lake, DAY, "epss_score") == []


@pytest.mark.parametrize("broken", [True, False])
def test_yesterdays_word_stands_when_a_file_breaks_or_is_no_longer_given(
    lake: Lake, tmp_path: Path, broken: bool
) -> None:
    before = DAY - timedelta(days=1)
    snapshot(lake, before, FOUND)
    collect_feeds(configured(lake, **written(tmp_path, day=before)), lake, before)
    assessed(lake, before, FOUND)
    snapshot(lake, DAY, FOUND)
    files = written(tmp_path)
    for path in files.values():
        path.write_bytes(b"\x1f\x8b\x08broken")
    collect_feeds(configured(lake, **files) if broken else configured(lake), lake, DAY)
    summary = gates.run(lake, SQL, DAY, set())
    for name in FEED_DATASETS:
        row = coverage(lake, DAY)[name]
        assert (row["status"], row["observed_date"]) == ("failed" if broken else "not_enabled", before)
        [kept] = rows(lake, DAY, name)
        assert kept["observed_date"] == before
    assert rows(lake, DAY, "epss_score")[0]["score_date"] == before
    # Nobody is lost with a feed: the organisation's account would be half of the targets, and the night not assessed.
    assert (summary.targets, summary.targets_lost) == (1, 0)


def test_a_second_try_with_a_file_that_broke_keeps_what_the_first_read(lake: Lake, tmp_path: Path) -> None:
    snapshot(lake, DAY, FOUND)
    files = written(tmp_path)
    collect_feeds(configured(lake, **files), lake, DAY)
    files["epss_file"].write_text("broken")
    assert collect_feeds(configured(lake, **files), lake, DAY)["EPSS"] == "failed"
    assert coverage(lake, DAY)["epss_score"]["status"] == "ok"
    assert [row["epss"] for row in rows(lake, DAY, "epss_score")] == [0.94]


def test_of_two_lines_on_one_vulnerability_the_worse_counts(lake: Lake, tmp_path: Path) -> None:
    snapshot(lake, DAY, FOUND)
    collect_feeds(configured(lake, **written(tmp_path, epss=f"{FOUND},0.9,\n{FOUND},0.1,\n")), lake, DAY)
    assert [row["epss"] for row in rows(lake, DAY, "epss_score")] == [0.9]


def test_each_feed_is_told_with_its_age_and_what_to_do(lake: Lake, tmp_path: Path) -> None:
    assessed(lake, DAY, FOUND, REMEMBERED, ABSENT)
    files = written(tmp_path, day=DAY - timedelta(days=7))
    del files["vulnrichment_file"]
    epss, kev, decisions = feed_statuses(configured(lake, **files), lake, DAY)
    assert (epss.state, epss.age_days, epss.entries, epss.covered, epss.vulnerabilities) == ("stale", 7, 3, 2, 3)
    assert (kev.state, kev.covered) == ("stale", 1)
    assert decisions.state == "not set" and "ECS_EXPOSURE_VULNRICHMENT_FILE" in (decisions.what_to_do or "")
    fresh = feed_statuses(configured(lake, **written(tmp_path, day=DAY - timedelta(days=6))), lake, DAY)
    assert [(one.state, one.what_to_do) for one in fresh] == [("ok", None)] * 3
    (tmp_path / "kev_file").unlink()
    assert feed_statuses(configured(lake, **files), None, DAY)[1].state == "unreadable"
