"""The sample organisation, night by night: every expected (service, trait) pair, severity and change, and no other."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml
from ecs_exposure import databases
from ecs_exposure.assessing import assess
from ecs_exposure.lake import Lake
from ecs_exposure.scan import publish, scan
from ecs_exposure.securityhub.publisher import PublishError
from ecs_exposure.settings import load
from embedded_aws import EmbeddedAws
from embedded_aws.organization import first_night, sample_settings

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "examples" / "sample_org"
EXPECTED = yaml.safe_load((Path(__file__).parent / "expected.yaml").read_text(encoding="utf-8"))
ACCOUNTS = {str(number): name for name, number in EXPECTED["accounts"].items()}
HARDENING = ("container_runs_as_root", "writable_root_filesystem")
NIGHTS = 3
FINGERPRINT_KEY = "a key that both lakes share"


@dataclass
class Night:
    """One scanned night: its day, a connection with its results as `night.<table>`, findings imported, task definitions
    described, and what the hub then held.
    """

    day: date
    results: duckdb.DuckDBPyConnection
    imported: int
    described: int
    hub: dict[str, dict[str, Any]]

    def rows(self, select: str) -> list[dict[str, Any]]:
        return self.results.sql(select).to_arrow_table().to_pylist()


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lake]:
    with Lake.open(str(tmp_path_factory.mktemp("sample") / "lake"), create=True) as opened:
        yield opened


@pytest.fixture(scope="module")
def nights(lake: Lake, tmp_path_factory: pytest.TempPathFactory) -> list[Night]:
    folder = tmp_path_factory.mktemp("embedded")
    scanned = []
    with pytest.MonkeyPatch.context() as patch:
        for number in range(1, NIGHTS + 1):
            with EmbeddedAws(SAMPLE, night=number, state=folder / "aws") as aws:
                for name, value in (sample_settings(SAMPLE) | aws.environ()).items():
                    patch.setenv(name, value)
                day = first_night(SAMPLE) + timedelta(days=number - 1)
                before = aws.securityhub.imports
                scan(load(lake=lake.location, fingerprint_key=FINGERPRINT_KEY), lake, day)
                connection = duckdb.connect()
                lake.attach_results(connection, day, "night")
                hub = {finding["Id"]: finding for finding in aws.securityhub.findings()}
                imported = aws.securityhub.imports - before
                described = sum(count for call, count in aws.calls.items() if call[3] == "DescribeTaskDefinition")
                scanned.append(Night(day, connection, imported, described, hub))
    return scanned


def short(arn: str) -> str:
    """`<account>/<Region>/<cluster>/<service>` of a service ARN."""
    _, _, _, region, account, path = arn.split(":", 5)
    return f"{ACCOUNTS[account]}/{region}/{path.removeprefix('service/')}"


def expected(number: int) -> dict[str, dict[str, Any]]:
    services = dict(EXPECTED["services"])
    for name, row in (EXPECTED["night_2"] if number > 1 else {}).items():
        if row is None:
            services.pop(name)
        else:
            services[name] = row
    return services


def traits_of(row: dict[str, Any], state: str) -> list[str]:
    named = [*row["traits"], *([] if row.get("hardened") else HARDENING)]
    pairs = [(item, "hit") if isinstance(item, str) else next(iter(item.items())) for item in named]
    return sorted(name for name, how in pairs if how == state)


@pytest.mark.parametrize("number", range(1, NIGHTS + 1))
def test_every_expected_trait_and_severity_and_no_other(nights: list[Night], number: int) -> None:
    found = {
        short(row["resource_id"]): (row["severity"], sorted(row["traits"]), row["reachability"], row["is_dormant"])
        for row in nights[number - 1].rows("select * from night.exposure")
    }
    wanted = {
        name: (row["severity"], traits_of(row, "hit"), row["reachability"], row.get("dormant", False))
        for name, row in expected(number).items()
        if row["severity"] is not None
    }
    assert found == wanted


def test_what_could_not_be_decided_is_unknown(nights: list[Night]) -> None:
    found = {
        short(row["resource_id"]): sorted(row["unknown_traits"])
        for row in nights[0].rows("select * from night.exposure")
        if row["unknown_traits"]
    }
    wanted = {name: traits_of(row, "unknown") for name, row in expected(1).items() if traits_of(row, "unknown")}
    assert found == wanted


def test_the_second_night_changes_as_designed(nights: list[Night]) -> None:
    rows = nights[1].rows("select * from night.change")
    assert {row["cause"] for row in rows} == {"estate"}
    columns = ("change", "severity_before", "severity_after")
    assert {short(row["resource_id"]): {name: row[name] for name in columns} for row in rows} == EXPECTED["changes"]


def test_the_account_that_denies_is_carried_over_and_neither_resolved_nor_archived(nights: list[Night]) -> None:
    carried = {short(row["resource_id"]) for row in nights[1].rows("select * from night.exposure where is_carried")}
    assert set(EXPECTED["carried"]) <= carried <= {*EXPECTED["carried"], *EXPECTED["carried_in_part"]}
    resolved = nights[1].rows("select * from night.change where change = 'resolved'")
    assert not {short(row["resource_id"]) for row in resolved} & carried
    archived = {
        row["finding_id"] for row in nights[1].rows("select * from night.publication where record_state = 'ARCHIVED'")
    }
    dark = [
        finding
        for finding in nights[1].hub.values()
        if finding["AwsAccountId"] == str(EXPECTED["accounts"]["logistics"])
    ]
    assert dark
    assert all(finding["RecordState"] == "ACTIVE" and finding["Id"] not in archived for finding in dark)


def test_resolved_exposures_are_archived_in_security_hub_and_the_rest_is_active(nights: list[Night]) -> None:
    for night in nights:
        standing = {row["finding_id"] for row in night.rows("select finding_id from night.finding")}
        active = {identity for identity, finding in night.hub.items() if finding["RecordState"] == "ACTIVE"}
        unpublished = {
            row["finding_id"]
            for row in night.rows("select finding_id from night.publication where status = 'not_enabled'")
        }
        assert active == standing - unpublished
    resolved = {row["resource_id"] for row in nights[1].rows("select * from night.change where change = 'resolved'")}
    archived = {
        finding["Resources"][0]["Id"] for finding in nights[1].hub.values() if finding["RecordState"] == "ARCHIVED"
    }
    assert archived == resolved


def test_an_unchanged_night_with_drifting_epss_sends_nothing(nights: list[Night]) -> None:
    epss = """select vulnerability_id, image_digest, max(epss) as epss from night.image_vulnerability
        where not is_carried group by all"""
    second, third = ({tuple(row.values()) for row in night.rows(epss)} for night in nights[1:3])
    assert second != third, "EPSS is meant to drift between the nights"
    assert nights[2].rows("select * from night.change") == []
    assert nights[2].imported == 0


def test_a_task_definition_is_described_once_and_then_known(nights: list[Night]) -> None:
    first, second, third = (night.described for night in nights)
    assert first > 40
    assert 0 < second < 10, "the second night registers a few new revisions"
    assert third == 0


@pytest.mark.faults
def test_another_fingerprint_key_describes_every_definition_again(
    lake: Lake, nights: list[Night], tmp_path: Path
) -> None:
    shutil.copytree(lake.location, tmp_path / "lake")
    with pytest.MonkeyPatch.context() as patch, EmbeddedAws(SAMPLE, night=4, state=tmp_path / "aws") as aws:
        for name, value in (sample_settings(SAMPLE) | aws.environ()).items():
            patch.setenv(name, value)
        with Lake.open(str(tmp_path / "lake")) as copy:
            settings = load(lake=copy.location, fingerprint_key="a rotated key", publish="off")
            scan(settings, copy, nights[2].day + timedelta(days=1))
        assert sum(count for call, count in aws.calls.items() if call[3] == "DescribeTaskDefinition") > 40


def test_an_older_day_is_never_published_after_a_later_one(lake: Lake, nights: list[Night]) -> None:
    with pytest.raises(PublishError, match="already"):
        publish(load(lake=lake.location, publish="on"), lake, nights[0].day)


def test_first_observed_dates_never_move(nights: list[Night]) -> None:
    first: dict[str, date] = {}
    for night in nights:
        for row in night.rows("select * from night.exposure"):
            assert row["first_observed_date"] == first.setdefault(row["resource_id"], night.day)


def test_findings_name_account_owner_and_unit(nights: list[Night]) -> None:
    for finding in nights[0].hub.values():
        fields = finding["ProductFields"]
        assert finding["AwsAccountName"] in EXPECTED["accounts"]
        assert any("ou" in key.lower() and value.startswith("/") for key, value in fields.items()), fields


def test_a_changed_rule_is_never_told_as_a_change_of_the_estate(
    lake: Lake, nights: list[Night], tmp_path: Path
) -> None:
    """The third night changed nothing; under other rules every change it shows is the rules'."""
    shutil.copytree(lake.location, tmp_path / "lake")
    shutil.copytree(ROOT / "sql", tmp_path / "sql")
    likelihoods = tmp_path / "sql" / "reference" / "configuration_likelihood.csv"
    text = likelihoods.read_text(encoding="utf-8")
    changed = text.replace("public_ip,,Moderate,Low", "public_ip,,Very High,Low")
    assert changed != text
    likelihoods.write_text(changed, encoding="utf-8")
    with Lake.open(str(tmp_path / "lake")) as copy, duckdb.connect() as connection:
        assess(load(lake=copy.location, sql=tmp_path / "sql"), copy, nights[2].day)
        copy.attach_results(connection, nights[2].day, "night")
        changes = connection.execute("select change, cause, count(*) from night.change group by all").fetchall()
    assert {cause for _, cause, _ in changes} == {"rules"}
    assert "worsened" in {change for change, _, _ in changes}


@pytest.mark.faults
def test_a_lake_on_s3_gives_the_same_results_as_a_local_one(nights: list[Night], tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch, EmbeddedAws(SAMPLE, night=1, state=tmp_path / "aws") as aws:
        for name, value in (sample_settings(SAMPLE) | aws.environ()).items():
            patch.setenv(name, value)
        aws.client("s3", str(EXPECTED["accounts"]["security"]), "eu-west-1").create_bucket(
            Bucket="exposure-lake", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
        )
        settings = load(lake="s3://exposure-lake/nightly", fingerprint_key=FINGERPRINT_KEY)
        with Lake.open(settings.lake, create=True) as lake, duckdb.connect() as connection:
            scan(settings, lake, nights[0].day)
            lake.attach_results(connection, nights[0].day, "night")
            for table in ("exposure", "trait_hit", "image_vulnerability", "service_image", "fix", "finding"):
                select = f"select * from night.{table} order by all"
                assert connection.sql(select).to_arrow_table().to_pylist() == nights[0].rows(select), table


def snapshot(lake: Lake, day: date, query: str) -> list[tuple[Any, ...]]:
    with databases.connect() as connection:
        lake.attach_snapshot(connection, day, "snapshot")
        return connection.sql(query).fetchall()


def test_a_registry_without_inspector_is_read_from_its_basic_scans(nights: list[Night], lake: Lake) -> None:
    payments = str(EXPECTED["accounts"]["payments"])
    for night in nights:
        told = {
            row["dataset"]: (row["status"], row["message"] or "")
            for row in lake.coverage(night.day).to_pylist()
            if (row["account_id"], row["region"]) == (payments, "us-east-1")
        }
        for name in ("image_coverage", "image_finding"):
            assert told[name][0] == "ok" and "basic scanning" in told[name][1] and "DISABLED" in told[name][1]
        assert told["vulnerability_detail"][0] == "not_enabled"
        found = snapshot(
            lake,
            night.day,
            """select region, finding_source, count(*) > 0, count(epss), count(exploit_available)
            from snapshot.image_finding where account_id = '444444444444' group by all""",
        )
        assert ("us-east-1", "ecr_basic", True, 0, 0) in found
        assert {row[1] for row in found if row[0] == "eu-west-1"} == {"inspector"}


def test_details_are_asked_once_a_week_and_each_day_holds_what_it_relies_on(nights: list[Night], lake: Lake) -> None:
    everything = """
        select finding.vulnerability_id, min(detail.asked_date)
        from (select distinct account_id, region, vulnerability_id from snapshot.image_finding
              where finding_source = 'inspector') as finding
        left join snapshot.vulnerability_detail as detail using (account_id, region, vulnerability_id)
        group by all"""
    first, second, third = (dict(snapshot(lake, night.day, everything)) for night in nights)
    assert set(first.values()) == {nights[0].day}
    for night, asked in ((nights[1], second), (nights[2], third)):
        assert set(asked) and None not in asked.values()
        assert nights[0].day in asked.values() and night.day in asked.values()
    assert (
        third["CVE-2022-42889"] < nights[2].day
    )  # in CISA's catalogue since the second night: once a week from now on
    assert second["CVE-2022-42889"] == nights[1].day
