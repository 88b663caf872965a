"""A database as assessing leaves it before the models of sql/findings run, to be filled by tests: one service."""

from __future__ import annotations

import dataclasses
import json
from datetime import date
from pathlib import Path
from typing import Any

from ecs_exposure import databases
from ecs_exposure.models import TraitText
from ecs_exposure.schemas import Table
from ecs_exposure.schemas.results import RESULTS
from ecs_exposure.securityhub.documents import document
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
        self.connection = databases.empty_database(SQL)
        for schema in ("resources", "traits", "findings"):
            self.connection.execute(f"create schema {schema}")
        databases.create_empty(self.connection, "exposures", {name: RESULTS[name] for name in ("exposure", "fix")})
        databases.create_empty(self.connection, "resources", {"service_image": RESULTS["service_image"]})
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
            -- Each found row its own report.
            create view resources.package_vulnerability as
            select row_number() over (order by vulnerability_id, image_digest) as report_number, * from resources.found
            join resources.image using (registry_account, region, repository_name, image_digest)
            join resources.vulnerability_number using (vulnerability_id);
            create view resources.image_report as
            select image_id, report_number, finding_arn from resources.package_vulnerability"""
        )
        for name in ("resources.image_cve", "resources.report_set", "exposures.service_image_set"):
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
        databases.attach_functions(self.connection)
        # What is stored of the day, as document.sql reads it.
        self.connection.execute(
            """create schema today;
            create view today.exposure as select * from exposures.exposure;
            create view today.fix as select * from exposures.fix;
            create view today.trait_hit as select * from traits."all";
            create view today.service_image as select * from resources.service_image;
            create view today.image_vulnerability as select * from resources.found"""
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

    def trait(self, name: str, evidence: Any = None, *, state: str = "hit", category: str = "Misconfiguration") -> None:
        self.connection.execute(
            'insert into traits."all" values (?, ?, ?, ?, ?, ?, ?, false, ?)',
            [SERVICE, ACCOUNT, REGION, name, category, state, evidence and json.dumps(evidence), DAY],
        )

    def rows(self) -> list[dict[str, Any]]:
        """Rows of the result table `finding`."""
        for model in ("durable_vulnerability", "service_resource", "finding"):
            select = (SQL / "findings" / f"{model}.sql").read_text(encoding="utf-8")
            self.connection.execute(f"create or replace table findings.{model} as {select}")
            self.connection.execute(f"create or replace view today.{model} as select * from findings.{model}")
        return self.connection.sql("select * from findings.finding order by resource_id").to_arrow_table().to_pylist()

    def content_hash(self) -> str:
        (row,) = self.rows()
        return str(row["content_hash"])

    def document(self) -> dict[str, Any]:
        """The one finding in AWS's format, which it keeps to."""
        (row,) = self.rows()
        select = (SQL / "documents" / "document.sql").read_text(encoding="utf-8")
        (said,) = self.connection.sql(select, params={"finding_ids": [row["finding_id"]]}).to_arrow_table().to_pylist()
        columns = "trait, title, category, datasets, url, recommendation, fix, '' as remediation, is_ours"
        listed = self.connection.sql(f"select {columns} from traits.catalogue").fetchall()
        told = document(said, {text[0]: TraitText(*text) for text in listed}, "aws")
        assert problems(told | {"UpdatedAt": "2026-11-01T03:00:00Z"}) == []
        return told
