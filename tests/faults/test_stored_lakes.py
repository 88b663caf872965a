"""What is wrong with the lake itself: damaged files, old files, a place that cannot be written, two scans at once.

One scan is stored; each test spoils a copy of it, mostly through the command line.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from ecs_exposure.cli import app
from ecs_exposure.lake import Lake, LakeError
from ecs_exposure.scan import ScanError, publish, scan
from ecs_exposure.schemas.results import RESULTS
from ecs_exposure.schemas.snapshots import SNAPSHOTS
from ecs_exposure.securityhub.publisher import PublishError
from ecs_exposure.settings import load
from embedded_aws import EmbeddedAws
from typer.testing import CliRunner, Result

from tests.faults.conftest import ALPHA, DAY, PLUGINS, REGION, results, served, severities

KEY = "a-key-for-the-fingerprints-of-this-test"


@pytest.fixture(scope="module")
def aws(organization: Path) -> Iterator[EmbeddedAws]:
    with served(organization) as running:
        yield running


@pytest.fixture(scope="module")
def stored(aws: EmbeddedAws, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake with one scanned night of which nothing was published."""
    folder = tmp_path_factory.mktemp("stored") / "lake"
    with Lake.open(str(folder), create=True) as lake:
        scan(load(lake=lake.location, rate_share=1.0, publish="off"), lake, DAY)
    return folder


@pytest.fixture
def lake(stored: Path, tmp_path: Path) -> Iterator[Lake]:
    """A copy, to be spoilt."""
    shutil.copytree(stored, tmp_path / "lake")
    with Lake.open(str(tmp_path / "lake")) as opened:
        yield opened


def run(lake: Lake, *arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments, "--lake", lake.location])


def part(lake: Lake, table: str) -> Path:
    (path,) = Path(lake.location).glob(f"*/{table}/snapshot_date={DAY}/*.parquet")
    return path


def truncated(content: bytes) -> bytes:
    return content[:-10]


def scrambled(content: bytes) -> bytes:
    """Damaged inside: it begins and ends as a Parquet file does."""
    middle = len(content) // 2
    return content[:8] + bytes(byte ^ 0xFF for byte in content[8:middle]) + content[middle:]


@pytest.mark.parametrize("damage", [truncated, scrambled])
@pytest.mark.parametrize(
    ("table", "command", "repair"),
    [
        ("service", ["assess"], "run that day's scan again"),
        ("image_finding", ["assess"], "run that day's scan again"),
        ("exposure", ["show"], f"ecs-exposure assess --date {DAY}"),
        ("exposure", ["sql", "select * from latest.exposure"], f"ecs-exposure assess --date {DAY}"),
    ],
    ids=lambda value: value if isinstance(value, str) else value[0],
)
def test_a_damaged_file_is_named_with_what_to_do_and_nothing_is_deleted(
    lake: Lake, table: str, command: list[str], repair: str, damage: Callable[[bytes], bytes]
) -> None:
    path = part(lake, table)
    path.write_bytes(damage(path.read_bytes()))
    before = {item: item.stat().st_mtime_ns for item in Path(lake.location).rglob("*.parquet")}
    told = run(lake, *command)
    assert told.exit_code == 1
    assert str(path) in told.stderr
    assert repair in told.stderr
    assert "Nothing was deleted" in told.stderr
    assert "Traceback" not in told.output
    assert {item: item.stat().st_mtime_ns for item in Path(lake.location).rglob("*.parquet")} == before


def test_results_that_were_damaged_are_made_again_as_the_message_says(lake: Lake) -> None:
    before = severities(lake, DAY)
    path = part(lake, "exposure")
    path.write_bytes(truncated(path.read_bytes()))
    assert run(lake, "assess", "--date", str(DAY)).exit_code == 0
    assert severities(lake, DAY) == before


def test_a_snapshot_that_was_damaged_is_collected_again_as_the_message_says(lake: Lake) -> None:
    before = severities(lake, DAY)
    path = part(lake, "service")
    path.unlink()
    (Path(lake.location) / "snapshots" / "coverage" / f"snapshot_date={DAY}" / path.name).unlink()
    assert run(lake, "scan", "--date", str(DAY)).exit_code == 0
    assert severities(lake, DAY) == before


@pytest.mark.parametrize("text", ["", '{"run_id": "a', "{}", "[]", '{"run_id":"a","rules_version":"b","files":[]}'])
def test_a_damaged_commit_record_is_named_and_can_be_made_again(lake: Lake, text: str) -> None:
    record = Path(lake.location) / "results" / "days" / f"{DAY}.json"
    record.write_text(text)
    told = run(lake, "show")
    assert told.exit_code == 1
    assert str(record) in told.stderr
    assert f"ecs-exposure assess --date {DAY}" in told.stderr


def test_a_removed_commit_record_is_made_again_from_the_snapshot(lake: Lake) -> None:
    before = severities(lake, DAY)
    (Path(lake.location) / "results" / "days" / f"{DAY}.json").unlink()
    assert run(lake, "assess", "--date", str(DAY)).exit_code == 0
    assert severities(lake, DAY) == before


def test_a_snapshot_older_than_a_column_is_assessed_all_the_same(lake: Lake) -> None:
    before = severities(lake, DAY)
    for table, newer in (
        ("service", {"tags", "created_at"}),
        ("subnet", {"internet_gateway_block_mode", "ipv6_cidrs"}),
        ("container", {"environment_file_count"}),
    ):
        _take_away(part(lake, table), newer)
    told = run(lake, "assess")
    assert told.exit_code == 0, told.output
    assert severities(lake, DAY) == before


def test_a_snapshot_with_no_more_than_its_required_columns_is_assessed(lake: Lake) -> None:
    """Every column that may be NULL is one that an older snapshot may lack."""
    services = severities(lake, DAY).keys()
    for name, declared in SNAPSHOTS.items():
        optional = {column.name for column in declared.columns if column.nullable and column.name not in declared.key}
        for path in Path(lake.location).glob(f"snapshots/{name}/*/*.parquet"):
            _take_away(path, optional)
    told = run(lake, "assess")
    assert told.exit_code == 0, told.output
    assert severities(lake, DAY).keys() <= services


def _take_away(path: Path, columns: set[str]) -> None:
    rows = pq.read_table(path, partitioning=None)
    assert columns <= set(rows.column_names)
    pq.write_table(rows.drop_columns(sorted(columns)), path)


@pytest.mark.parametrize("folder", [".", "results/exposure", "snapshots"])
def test_a_lake_that_cannot_be_written_says_where_and_names_the_setting(
    aws: EmbeddedAws, lake: Lake, folder: str
) -> None:
    """A file in the way: permissions would not stop a test that runs as root."""
    place = Path(lake.location) / folder
    shutil.rmtree(place)
    place.write_text("in the way")
    told = run(lake, "assess" if folder == "results/exposure" else "scan")
    assert told.exit_code == 1
    assert str(place.relative_to(Path(lake.location).parent)) in told.stderr or folder in told.stderr
    assert "ECS_EXPOSURE_LAKE" in told.stderr
    assert "Traceback" not in told.output


@pytest.mark.parametrize("text", ["", "abc", "not hexadecimal" * 5])
def test_a_key_file_that_holds_no_key_is_refused(lake: Lake, text: str) -> None:
    """Fingerprints under an empty key could be guessed."""
    (Path(lake.location) / ".fingerprint-key").write_text(text)
    with pytest.raises(LakeError, match=r"fingerprint-key holds no key: .*remove it"):
        lake.fingerprint_key()


def test_a_past_day_is_never_collected_again(aws: EmbeddedAws, lake: Lake) -> None:
    with pytest.raises(ScanError, match="reassess"):
        scan(load(lake=lake.location), lake, DAY - timedelta(days=1))


def test_two_scans_at_once_are_refused(aws: EmbeddedAws, lake: Lake) -> None:
    calls = aws.calls.total()
    with lake.lock():
        told = run(lake, "scan", "--date", str(DAY))
    assert told.exit_code == 1
    assert "another scan holds the lake" in told.stderr
    assert "wait for it to end" in told.stderr
    assert aws.calls.total() == calls


def test_nothing_sent_although_there_was_something_to_send_is_an_error(aws: EmbeddedAws, lake: Lake) -> None:
    settings = load(lake=lake.location)
    assert settings.publish == "on"
    aws.fault(
        service="securityhub", operation="BatchImportFindings", code="AccessDeniedException", status=403, message="no",
        times=2,
    )  # fmt: skip
    with pytest.raises(PublishError, match="none was sent"):
        publish(settings, lake, DAY)
    statuses = "select distinct status from night.publication where status <> 'sending' order by all"
    assert {row["status"] for row in results(lake, DAY, statuses)} == {"denied", "not_enabled"}
    publish(settings, lake, DAY)
    sent = {row["finding_id"] for row in results(lake, DAY, "from night.publication where status = 'sent'")}
    assert sent == {finding["Id"] for finding in aws.securityhub.findings()} != set()


@pytest.fixture
def bucket(aws: EmbeddedAws, monkeypatch: pytest.MonkeyPatch) -> str:
    name = f"lake-{uuid4()}"
    aws.client("s3", ALPHA, REGION).create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
    monkeypatch.setenv("ECS_EXPOSURE_FINGERPRINT_KEY", KEY)
    return f"s3://{name}/nightly"


def lifecycle(name: str) -> pa.Table:
    return RESULTS["lifecycle"].to_arrow(
        [
            {
                "snapshot_date": DAY, "account_id": ALPHA, "region": REGION, "resource_id": name,
                "first_observed_date": DAY, "last_observed_date": DAY,
            }
        ]
    )  # fmt: skip


def test_of_two_runs_on_s3_the_later_wins_whole(bucket: str) -> None:
    """There is no lock on S3: a run that commits while another writes loses, and no file of either is mixed up."""
    with Lake.open(bucket, create=True) as first, Lake.open(bucket) as second, first.lock(), second.lock():

        def slow() -> Iterator[tuple[str, pa.Table]]:
            yield "lifecycle", lifecycle("slow")
            second.commit_day(DAY, "fast", "rules", [("lifecycle", lifecycle("fast"))])

        first.commit_day(DAY, "slow", "rules", slow())
        assert results(second, DAY, "select resource_id from night.lifecycle") == [{"resource_id": "slow"}]
        assert second.day(DAY).run_id == "slow"


def test_two_scans_at_once_on_s3_end_as_one(bucket: str, stored: Path, aws: EmbeddedAws) -> None:
    command = [sys.executable, "-m", "ecs_exposure.cli", "scan", "--date", str(DAY), "--lake", bucket]
    environment = os.environ | {"PYTHONPATH": str(PLUGINS)}
    scans = [subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL) for _ in range(2)]
    assert [scan.wait() for scan in scans] == [0, 0]
    with Lake.open(str(stored)) as unharmed, Lake.open(bucket) as lake:
        assert severities(lake, DAY) == severities(unharmed, DAY)
    hub = [finding["Id"] for finding in aws.securityhub.findings()]
    assert len(hub) == len(set(hub)) > 0
