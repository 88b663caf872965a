"""Severities of services written with real shapes, worked out by hand from the published tables."""

from __future__ import annotations

from typing import Any

import pytest

from tests.exposures.estate import (
    ADMINISTRATOR,
    DIGEST,
    READS_ALL_DATA,
    REPOSITORY,
    SERVICE,
    Rows,
    cve,
    merged,
    service,
)
from tests.sql_harness import assess, records

AVAILABILITY_ONLY = "NLNNNNH"
PROVIDER_KEY = {
    "source": "environment",
    "variable_name": "AWS_SECRET_ACCESS_KEY",
    "detector": "aws",
    "is_provider_pattern": True,
}
PASSWORD = {"source": "environment", "variable_name": "DB_PASSWORD", "detector": "name", "is_provider_pattern": False}
KEV = "CVE-2024-0001"
PROBABLE = cve("CVE-2024-0002", epss=0.5)

CASES: dict[str, tuple[Rows, str, dict[str, Any]]] = {
    "private, KEV remote total-impact CVE, admin role": (
        service(cves=[cve()], kev=[KEV], statements=ADMINISTRATOR),
        "CRITICAL",
        {"likelihood": "Very High", "impact": "High", "driver": KEV, "reachability": "NOT_REACHABLE"},
    ),
    "behind a load balancer, only a 9.8 network vector with EPSS .006 and no exploit": (
        service(balanced=True, cves=[cve(epss=0.006)]),
        "LOW",
        {"likelihood": "Moderate", "reachability": "VIA_LOAD_BALANCER"},
    ),
    "public, that CVE": (
        service(public=True, cves=[cve(epss=0.006)]),
        "LOW",
        {"likelihood": "Moderate", "reachability": "DIRECT"},
    ),
    "public, an exploit with EPSS .02": (
        service(public=True, cves=[cve(epss=0.02, exploit=True)]),
        "HIGH",
        {"likelihood": "Very High"},
    ),
    "public, an exploit with EPSS .009": (service(public=True, cves=[cve(epss=0.009, exploit=True)]), "LOW", {}),
    "public, an exploit and no EPSS ever known": (
        service(public=True, cves=[cve(epss=None, exploit=True)]),
        "HIGH",
        {"is_minimum": True, "highest_probability": None},
    ),
    "public, high complexity but probable: high priority lifts it to High": (
        service(public=True, cves=[cve(vector="NHNNLLN", epss=0.2)]),
        "MEDIUM",
        {"likelihood": "High", "high_priority_vulnerability_count": 1},
    ),
    "public, needs interaction, total, probable: 14 days": (
        service(public=True, cves=[cve(vector="NLNRHHH", epss=0.2)]),
        "MEDIUM",
        {"likelihood": "High", "high_priority_vulnerability_count": 0},
    ),
    "private, automatable and probable: 60 days": (service(cves=[PROBABLE]), "LOW", {"likelihood": "Moderate"}),
    "private, not automatable and probable: on upgrade": (
        service(cves=[cve(vector="LLLNHHH", epss=0.9)]),
        "INFORMATIONAL",
        {"likelihood": "Low"},
    ),
    "public, admin role, a denial-of-service CVE: driven by the role": (
        service(public=True, statements=ADMINISTRATOR, cves=[cve(vector=AVAILABILITY_ONLY, epss=0.0005)]),
        "HIGH",
        {"likelihood": "Moderate", "impact": "High", "driver": "administrative_access_policy"},
    ),
    "public, scoped role, a probable denial-of-service CVE": (
        service(public=True, cves=[cve(vector=AVAILABILITY_ONLY, epss=0.5)]),
        "MEDIUM",
        {"likelihood": "High", "impact": "Low"},
    ),
    "private, admin role, kernel KEV on header packages: as without it": (
        service(statements=ADMINISTRATOR, cves=[cve(package="linux-libc-dev")], kev=[KEV]),
        "MEDIUM",
        {
            "driver": "administrative_access_policy",
            "likelihood": "Low",
            "highest_probability": None,
            "vulnerability_count": 1,
        },
    ),
    "private, suppressed KEV": (
        service(cves=[cve(finding_status="SUPPRESSED")], kev=[KEV]),
        "INFORMATIONAL",
        {"driver": None, "vulnerability_count": 0},
    ),
    "no vector, vendor says critical, KEV, public: 3 days": (
        service(public=True, cves=[cve(vector=None)], kev=[KEV]),
        "HIGH",
        {"likelihood": "Very High", "is_minimum": True},
    ),
    "no vector, untriaged, KEV, public: 14 days": (
        service(public=True, cves=[cve(vector=None, severity="UNTRIAGED")], kev=[KEV]),
        "MEDIUM",
        {"likelihood": "High"},
    ),
    "public, image never scanned, scoped role": (
        service(public=True, scanned=False),
        "LOW",
        {"is_minimum": True, "vulnerability_count": None, "likelihood": "Moderate"},
    ),
    "balanced, image never scanned: own trait alone ends at LOW": (
        service(balanced=True, scanned=False, credentials=[PASSWORD]),
        "MEDIUM",
        {"driver": "cleartext_credentials"},
    ),
    "private, privileged on EC2, no CVE": (
        service(launch_type="EC2", container={"is_privileged": True}),
        "MEDIUM",
        {"impact": "High", "likelihood": "Low"},
    ),
    "private daemon with the runtime's socket read-only on EC2": (
        service(launch_type="EC2", volumes={"sock": "/var/run/docker.sock"}),
        "MEDIUM",
        {"driver": "root_filesystem_access", "impact": "High"},
    ),
    "read-only /proc on EC2 is no escape": (
        service(launch_type="EC2", volumes={"proc": "/proc"}),
        "INFORMATIONAL",
        {"impact": "Low"},
    ),
    "host processes alone are no escape, with SYS_PTRACE they are": (
        service(launch_type="EC2", pid_mode="host", container={"capabilities_added": ["SYS_PTRACE"]}),
        "MEDIUM",
        {"impact": "High"},
    ),
    "Fargate, database password in clear, private": (
        service(credentials=[PASSWORD]),
        "LOW",
        {"impact": "Medium", "likelihood": "Low"},
    ),
    "Fargate private, AWS secret key in clear": (
        service(credentials=[PROVIDER_KEY]),
        "MEDIUM",
        {"impact": "Medium", "likelihood": "Moderate"},
    ),
    "public Redis port open and reachable": (
        service(public=True, port=6379, open_ports=(6000, 7000)),
        "MEDIUM",
        {"likelihood": "High", "driver": "open_security_group"},
    ),
    "public Redis port with broad data access": (
        service(public=True, port=6379, open_ports=(6379, 6379), statements=READS_ALL_DATA),
        "HIGH",
        {"likelihood": "High", "impact": "Medium"},
    ),
    "private admin": (service(statements=ADMINISTRATOR), "MEDIUM", {"likelihood": "Low", "impact": "High"}),
    "clean public service behind a load balancer, scoped role: no finding": (
        service(balanced=True),
        "INFORMATIONAL",
        {"driver": None, "is_exposed": True, "due_date": None},
    ),
    "desired 0, nothing running, would be public, admin role: dormant": (
        service(public=True, statements=ADMINISTRATOR, desired=0, running=False),
        "MEDIUM",
        {"is_dormant": True},
    ),
    "role named but missing: likelihood alone": (
        {**service(credentials=[]), "role": [], "role_statement": []}
        | {"container": service(public=True)["container"]},
        "INFORMATIONAL",
        {"impact": "Unknown", "is_minimum": True, "unknown_traits": ["administrative_access_policy"]},
    ),
    "role missing, public: Moderate alone is MEDIUM": (
        {**service(public=True), "role": [], "role_statement": []},
        "MEDIUM",
        {"impact": "Unknown", "likelihood": "Moderate"},
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_worked_example(name: str) -> None:
    estate, severity, expected = CASES[name]
    [row] = records(assess(estate), "select * from exposures.exposure")
    assert row["severity"] == severity, row
    assert {column: row[column] for column in expected} == expected
    assert row["is_minimum"] == (row["minimum_reason"] is not None)


def test_one_likely_vulnerability_ranks_before_four_hundred_unlikely_ones() -> None:
    many = service(
        public=True, cves=[cve(f"CVE-2024-{number:04}", epss=0.01, vector="NHNNLLN") for number in range(400)]
    )
    one = service(public=True, cves=[cve(epss=0.9, vector="LLNRLLN")])
    [many_row] = records(assess(many), "select severity, score, exploit_probability from exposures.exposure")
    [one_row] = records(assess(one), "select severity, score from exposures.exposure")
    assert many_row["severity"] == one_row["severity"] == "LOW"
    assert one_row["score"] > many_row["score"]
    assert many_row["exploit_probability"] == round(1 - 0.99**400, 6)


def test_a_vulnerability_in_two_images_of_a_service_counts_once() -> None:
    other = "sha256:" + "b" * 64
    estate = service(public=True, cves=[cve(epss=0.2), cve(epss=0.2, image_digest=other, finding_arn="f2")])
    estate["task_container"].append(
        {
            "task_arn": "t",
            "resource_id": SERVICE,
            "container_name": "side",
            "image": f"{REPOSITORY}:2",
            "image_digest": other,
        }
    )
    estate["image_coverage"].append({"repository_name": "app", "image_digest": other, "scan_status": "ACTIVE"})
    connection = assess(estate)
    [row] = records(connection, "select vulnerability_count, exploit_probability from exposures.exposure")
    assert row == {"vulnerability_count": 1, "exploit_probability": 0.2}
    left = records(
        connection, "select removed, score_before - score_after as gain from exposures.fix where removed_kind = 'image'"
    )
    assert [(item["removed"], item["gain"]) for item in sorted(left, key=str)] == [(DIGEST, 0), (other, 0)]


def test_findings_of_a_platform_manifest_count_for_the_index_that_runs() -> None:
    estate = service(
        cves=[cve(image_digest="sha256:arm64", finding_arn="1"), cve(image_digest="sha256:amd64", finding_arn="2")],
        kev=[KEV],
    )
    estate["image"] = [
        {"repository_name": "app", "image_digest": DIGEST, "platform_digests": ["sha256:amd64", "sha256:arm64"]}
    ]
    connection = assess(estate)
    assert records(connection, "select image_digest, vulnerability_id from resources.image_vulnerability") == [
        {"image_digest": DIGEST, "vulnerability_id": KEV}
    ]
    assert "high_priority_vulnerability" in records(connection, "select traits from exposures.exposure")[0]["traits"]


def test_every_driver_pair_is_the_matrix_and_the_first_is_the_exposures() -> None:
    connection = assess(merged(*(CASES[name][0] for name in CASES if "Redis" in name or "KEV remote" in name)))
    wrong = records(
        connection,
        """select driver.* from exposures.driver as driver
        join reference.severity_matrix as matrix using (likelihood, impact) where matrix.severity <> driver.severity""",
    )
    assert wrong == []
    assert (
        records(
            connection,
            """select resource_id from exposures.exposure as exposure
            join exposures.driver as driver using (resource_id)
            where driver.rank = 1 and (driver.severity <> exposure.severity or driver.driver <> exposure.driver)""",
        )
        == []
    )
