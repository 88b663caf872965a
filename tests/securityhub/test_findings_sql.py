"""sql/findings: from the assessed tables to rows of `finding`, on a real DuckDB."""

from __future__ import annotations

import dataclasses
import json
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from ecs_exposure import models
from ecs_exposure.models import TraitText
from ecs_exposure.schemas import Table
from ecs_exposure.schemas.results import RESULTS
from ecs_exposure.schemas.snapshots import SNAPSHOTS
from ecs_exposure.securityhub.documents import document, finding_batches
from embedded_aws.finding_format import problems

SQL = Path(__file__).parents[2] / "sql"
DAY = date(2026, 11, 1)
ACCOUNT, REGION = "111122223333", "eu-west-1"
SERVICE = f"arn:aws:ecs:{REGION}:{ACCOUNT}:service/main/shop"
HERE = {"snapshot_date": DAY, "account_id": ACCOUNT, "region": REGION, "resource_id": SERVICE}
SEEN = {"is_carried": False, "observed_date": DAY}


class Assessed:
    """A database in the state in which sql/findings runs: every table it reads, empty until filled."""

    def __init__(self) -> None:
        self.connection = models.empty_database(SQL)
        for schema in ("resources", "traits", "findings"):
            self.connection.execute(f"create schema {schema}")
        models.create_empty(self.connection, "exposures", {name: RESULTS[name] for name in ("exposure", "fix")})
        models.create_empty(self.connection, "resources", {"service_image": RESULTS["service_image"]})
        for name in ("service", "task_definition_in_force", "service_attachment"):
            select = (SQL / "resources" / f"{name}.sql").read_text(encoding="utf-8")
            self.connection.execute(f"create view resources.{name} as {select}")
        # Which digests there are: those that services run.
        self.connection.execute(
            """create view resources.image as
            select row_number() over (order by image_digest) as image_id, * from (
                select distinct registry_account, registry_region as region, repository_name, image_digest, scan_status,
                    true as sees_all_packages
                from resources.service_image where image_digest is not null);
            create table resources.found as select * from previous.image_vulnerability;
            create view resources.vulnerability_number as
            select vulnerability_id, row_number() over (order by vulnerability_id) as vulnerability_number
            from (select distinct vulnerability_id from resources.found);
            create view resources.package_vulnerability as
            select * from resources.found
            join resources.image using (registry_account, region, repository_name, image_digest)
            join resources.vulnerability_number using (vulnerability_id)"""
        )
        for name in ("resources.image_cve", "exposures.service_image_set"):
            select = (SQL / name.replace(".", "/")).with_suffix(".sql").read_text(encoding="utf-8")
            self.connection.execute(f"create view {name} as {select}")
        self.connection.execute(
            """create table traits.catalogue (trait varchar, title varchar, category varchar, datasets varchar[],
            url varchar, recommendation varchar, fix varchar, is_ours boolean)"""
        )
        self.connection.execute(
            """create table traits."all" (resource_id varchar, account_id varchar, region varchar, trait varchar,
            category varchar, state varchar, evidence varchar, is_carried boolean, observed_date date)"""
        )

    def fill(self, schema: str, table: Table, *rows: dict[str, Any]) -> None:
        given = table.to_arrow(rows)
        self.connection.register("given_rows", given)
        self.connection.execute(f"insert into {schema}.{table.name} select * from given_rows")
        self.connection.unregister("given_rows")

    def exposure(self, **changes: Any) -> None:
        self.fill(
            "exposures", RESULTS["exposure"],
            HERE | SEEN | {
                "severity": "HIGH", "likelihood": "High", "impact": "Medium", "driver": "CVE-2026-0001", "score": 75.0,
                "exploit_probability": 0.5, "highest_probability": 0.5, "reachability": "DIRECT", "is_exposed": True,
                "is_minimum": False, "traits": ["vulnerability"], "unknown_traits": [], "vulnerability_count": 20,
                "high_priority_vulnerability_count": 1, "is_dormant": False, "first_observed_date": DAY,
                "title": "Someone can get in", "cluster_name": "main", "service_name": "shop", "launch_type": "FARGATE",
                "task_definition_arns": [f"arn:aws:ecs:{REGION}:{ACCOUNT}:task-definition/shop:7"],
            } | changes,
        )  # fmt: skip

    def image(self, digest: str = "sha256:aa") -> None:
        self.fill(
            "resources", RESULTS["service_image"],
            HERE | SEEN | {
                "container_name": digest[-2:], "image": f"shop@{digest}", "image_digest": digest, "is_running": True,
                "registry_account": ACCOUNT, "registry_region": REGION, "repository_name": "shop",
                "scan_status": "scanned",
            },
        )  # fmt: skip

    def vulnerability(self, identity: str, digest: str = "sha256:aa", **changes: Any) -> None:
        self.fill(
            "resources", dataclasses.replace(RESULTS["image_vulnerability"], name="found"),
            SEEN | {
                "snapshot_date": DAY, "registry_account": ACCOUNT, "region": REGION, "repository_name": "shop",
                "image_digest": digest, "vulnerability_id": identity, "package_name": "openssl", "epss": 0.1,
                "probability": 0.1, "cvss_base_score": 7.0, "is_network_exploitable": True, "is_kernel_package": False,
                "is_malicious_package": False, "decision_source": "vector",
                "high_priority": False, "is_suppressed": False,
            } | changes,
        )  # fmt: skip

    def fix(self, rank: int, removed: str, after: str, kind: str = "package") -> None:
        self.fill(
            "exposures", RESULTS["fix"],
            HERE | {
                "removed_kind": kind, "removed": removed, "description": f"Remove {removed}", "severity_before": "HIGH",
                "severity_after": after, "score_before": 75.0, "score_after": 75.0 - rank, "rank": rank,
            },
        )  # fmt: skip

    def rows(self) -> list[dict[str, Any]]:
        for model in ("vulnerability", "resource", "finding"):
            select = (SQL / "findings" / f"{model}.sql").read_text(encoding="utf-8")
            self.connection.execute(f"create or replace table findings.{model} as {select}")
        return pa.Table.from_batches(finding_batches(self.connection, "aws"), RESULTS["finding"].schema).to_pylist()

    def document(self) -> dict[str, Any]:
        (row,) = self.rows()
        return self.told(row)

    def told(self, row: dict[str, Any]) -> dict[str, Any]:
        """The finding of one row in AWS's format, which it keeps to."""
        columns = "trait, title, category, datasets, url, recommendation, fix, '' as remediation, is_ours"
        listed = self.connection.sql(f"select {columns} from traits.catalogue").fetchall()
        told: dict[str, Any] = json.loads(
            document(row["content"], {text[0]: TraitText(*text) for text in listed}, "aws")
        )
        assert problems(told | {"UpdatedAt": "2026-11-01T03:00:00Z"}) == []
        return told


@pytest.fixture
def assessed() -> Assessed:
    return Assessed()


def test_every_model_is_one_select_with_its_tables_named() -> None:
    for path in sorted((SQL / "findings").glob("*.sql")):
        assert models.tables_read(path.read_text(encoding="utf-8"), path)


def test_informational_exposures_are_no_findings(assessed: Assessed) -> None:
    assessed.exposure(severity="INFORMATIONAL", likelihood=None, driver=None)
    assert assessed.rows() == []


def test_a_bare_exposure_is_a_finding_with_its_service_alone(assessed: Assessed) -> None:
    assessed.exposure(vulnerability_count=None, exploit_probability=None)
    document = assessed.document()
    assert [resource["Id"] for resource in document["Resources"]] == [SERVICE]
    assert "Vulnerabilities" not in document


def test_traits_come_with_their_titles_and_unknown_ones_apart(assessed: Assessed) -> None:
    assessed.exposure(driver="open_security_group", traits=["open_security_group"], unknown_traits=["public_ip"])
    assessed.connection.execute(
        """insert into traits.catalogue values ('open_security_group', 'Open to anyone', 'Misconfiguration',
        ['service'], 'https://docs.aws.amazon.com/x', 'Close the group.', 'Close it', false)"""
    )
    evidence = json.dumps([{"group_id": "sg-1", "cidr": "0.0.0.0/0"}])
    assessed.connection.execute(
        f"""insert into traits."all" values
        ('{SERVICE}', '{ACCOUNT}', '{REGION}', 'open_security_group', 'Misconfiguration', 'hit', '{evidence}',
            false, '{DAY}'),
        ('{SERVICE}', '{ACCOUNT}', '{REGION}', 'public_ip', 'Misconfiguration', 'unknown', null, false, '{DAY}')"""
    )
    document = assessed.document()
    assert "Open to anyone (group id sg-1, cidr 0.0.0.0/0)." in document["Description"]
    assert document["ProductFields"]["unknown_traits"] == "public_ip"
    assert document["Remediation"]["Recommendation"] == {
        "Text": "Close the group.",
        "Url": "https://docs.aws.amazon.com/x",
    }


def test_the_ten_worst_vulnerabilities_are_named_once_each_whatever_images_share_them(assessed: Assessed) -> None:
    assessed.exposure()
    assessed.image("sha256:aa")
    assessed.image("sha256:bb")
    for index in range(12):
        for digest in ("sha256:aa", "sha256:bb"):
            assessed.vulnerability(f"CVE-2026-{index:04d}", digest, probability=index / 100, epss=index / 100)
    assessed.vulnerability("CVE-2020-0001", probability=1.0, is_kernel_package=True)
    assessed.vulnerability("CVE-2020-0002", probability=1.0, is_suppressed=True)
    assessed.vulnerability("CVE-2026-0003", probability=0.03, high_priority=True, package_name="zlib")
    named = assessed.document()["Vulnerabilities"]
    assert [item["Id"] for item in named] == [
        "CVE-2026-0003", *(f"CVE-2026-{index:04d}" for index in (11, 10, 9, 8, 7, 6, 5, 4, 2)),
    ]  # fmt: skip
    assert [package["Name"] for package in named[0]["VulnerablePackages"]] == ["openssl", "zlib"]


def test_the_ten_likeliest_are_named_also_where_others_are_worse(assessed: Assessed) -> None:
    assessed.exposure()
    assessed.image("sha256:aa")
    for index in range(20):
        assessed.vulnerability(
            f"CVE-2026-{index:04d}", probability=0.9 - index / 100, epss=0.9 - index / 100, cvss_base_score=index / 2
        )
    named = [item["Id"] for item in assessed.document()["Vulnerabilities"]]
    assert named == [f"CVE-2026-{index:04d}" for index in range(10)]


def test_epss_of_every_vulnerability_may_change_without_changing_the_finding(assessed: Assessed) -> None:
    assessed.exposure()
    assessed.image()
    for index in range(25):
        assessed.vulnerability(f"CVE-2026-{index:04d}", cvss_base_score=5 + index / 10)
    (before,) = assessed.rows()
    assessed.connection.execute("update resources.found set epss = hash(vulnerability_id) % 1000 / 1000")
    assessed.connection.execute("update resources.found set probability = epss")
    (after,) = assessed.rows()
    assert assessed.told(after) != assessed.told(before)
    assert after["content_hash"] == before["content_hash"]
    assessed.vulnerability("CVE-2026-9999", kev=True, probability=1.0)
    (worse,) = assessed.rows()
    assert worse["content_hash"] != before["content_hash"]


def test_the_best_fix_is_told_and_which_of_equals_comes_first_is_no_change(assessed: Assessed) -> None:
    assessed.exposure()
    assessed.fix(1, "openssl@sha256:aa", "MEDIUM")
    assessed.fix(2, "zlib@sha256:aa", "MEDIUM")
    assessed.fix(3, "public_ip", "HIGH", kind="trait")
    (before,) = assessed.rows()
    told = assessed.told(before)["ProductFields"]
    assert (told["fix"], told["fix_severity_after"]) == ("Remove openssl@sha256:aa", "MEDIUM")
    assessed.connection.execute("update exposures.fix set rank = case rank when 1 then 2 when 2 then 1 else 3 end")
    (after,) = assessed.rows()
    assert assessed.told(after)["ProductFields"]["fix"] == "Remove zlib@sha256:aa"
    assert after["content_hash"] == before["content_hash"]
    assessed.connection.execute("delete from exposures.fix where removed = 'zlib@sha256:aa'")
    assert assessed.rows()[0]["content_hash"] != before["content_hash"]


def test_definition_role_image_and_groups_are_named(assessed: Assessed) -> None:
    definition = f"arn:aws:ecs:{REGION}:{ACCOUNT}:task-definition/shop:7"
    role = f"arn:aws:iam::{ACCOUNT}:role/shop"
    place = {"account_id": ACCOUNT, "region": REGION, "observed_date": DAY}
    assessed.exposure()
    assessed.image()
    assessed.fill(
        "snapshot", SNAPSHOTS["service"],
        place | {
            "resource_id": SERVICE, "service_arn": SERVICE, "cluster_arn": "arn:cluster", "cluster_name": "main",
            "service_name": "shop", "status": "ACTIVE", "task_definition_arn": definition, "assign_public_ip": True,
            "subnet_ids": ["subnet-1"], "security_group_ids": ["sg-1"], "desired_count": 1,
        },
    )  # fmt: skip
    assessed.fill(
        "snapshot", SNAPSHOTS["task_definition"],
        place | {
            "task_definition_arn": definition, "family": "shop", "revision": 7, "extractor_version": "1",
            "network_mode": "awsvpc", "task_role_arn": role,
        },
    )  # fmt: skip
    assessed.fill(
        "snapshot", SNAPSHOTS["subnet"], place | {"subnet_id": "subnet-1", "vpc_id": "vpc-1", "cidr": "10.0.0.0/24"}
    )
    assessed.fill(
        "snapshot", SNAPSHOTS["security_group"], place | {"group_id": "sg-1", "group_name": "web", "vpc_id": "vpc-1"}
    )
    resources = assessed.document()["Resources"]
    assert [resource["Id"] for resource in resources] == [
        SERVICE, definition, role, f"arn:aws:ecr:{REGION}:{ACCOUNT}:repository/shop/sha256:aa",
        f"arn:aws:ec2:{REGION}:{ACCOUNT}:security-group/sg-1",
    ]  # fmt: skip
    network = resources[0]["Details"]["AwsEcsService"]["NetworkConfiguration"]["AwsVpcConfiguration"]
    assert network == {"AssignPublicIp": "ENABLED", "SecurityGroups": ["sg-1"], "Subnets": ["subnet-1"]}


def _many(connection: duckdb.DuckDBPyConnection, services: int) -> None:
    """As many rows of findings.finding as `services`, each another service's."""
    connection.execute(
        """create or replace table findings.finding as
        select found.* replace (resource_id || '-' || lpad(number::varchar, 5, '0') as resource_id)
        from findings.finding as found cross join range(?) as numbers (number)""",
        [services],
    )


def _table(connection: duckdb.DuckDBPyConnection, processes: int | None) -> pa.Table:
    return pa.Table.from_batches(finding_batches(connection, "aws", processes), RESULTS["finding"].schema)


def test_findings_are_the_same_and_in_order_however_many_processes_build_them(assessed: Assessed) -> None:
    assessed.exposure()
    assert len(assessed.rows()) == 1
    _many(assessed.connection, 3500)  # four batches, the last one short
    alone = _table(assessed.connection, 1)
    assert alone.num_rows == 3500
    assert alone["resource_id"].to_pylist() == sorted(alone["resource_id"].to_pylist())
    assert _table(assessed.connection, 3).equals(alone)
    assert _table(assessed.connection, None).equals(alone)


def test_a_process_that_cannot_hash_its_share_is_told(assessed: Assessed, capfd: pytest.CaptureFixture[str]) -> None:
    assessed.exposure()
    assessed.rows()
    _many(assessed.connection, 1100)
    assessed.connection.execute("""update findings.finding
        set trait_details = [{'trait': 'x', 'state': 'hit', 'category': '', 'evidence': 'no JSON', 'is_carried': false}]
        where resource_id like '%-00000'""")
    with pytest.raises(RuntimeError, match="standard error"):
        _table(assessed.connection, 2)
    assert "DecodeError" in capfd.readouterr().err
