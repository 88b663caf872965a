"""The resource models of images: which run, what is known of them, and how long it holds."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import pytest

from tests.sql_harness import ACCOUNT, DAY, REGION, model_rows

IMAGE = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/app"
DIGEST = "sha256:" + "ab" * 32
OTHER = "sha256:" + "cd" * 32
KEY = {"registry_account": ACCOUNT, "repository_name": "app", "image_digest": DIGEST}
RUNNING: dict[str, list[dict[str, Any]]] = {
    "service": [{"resource_id": "svc-a"}],
    "task_container": [{"resource_id": "svc-a", "container_name": "web", "image": IMAGE, "image_digest": DIGEST}],
}
FINDING = {
    "finding_arn": "f1",
    "repository_name": "app",
    "image_digest": DIGEST,
    "vulnerability_id": "CVE-1",
    "finding_status": "ACTIVE",
    "package_name": "x",
    "package_version": "1",
}
COVERED = {"repository_name": "app", "image_digest": DIGEST, "scan_status": "ACTIVE", "scan_reason": "SUCCESSFUL"}


def day(before: int) -> date:
    return DAY - timedelta(days=before)


@pytest.mark.parametrize(
    ("image", "registry"),
    [
        (IMAGE, (ACCOUNT, REGION, "app")),
        (f"{IMAGE}:v1.2@{DIGEST}", (ACCOUNT, REGION, "app")),
        ("222222222222.dkr.ecr.cn-north-1.amazonaws.com.cn/team/app:1", ("222222222222", "cn-north-1", "team/app")),
        ("222222222222.dkr-ecr.us-east-1.on.aws/app", ("222222222222", "us-east-1", "app")),
        ("222222222222.dkr.ecr-fips.us-gov-west-1.amazonaws.com/app", ("222222222222", "us-gov-west-1", "app")),
        ("public.ecr.aws/nginx/nginx:1", (None, None, None)),
        ("nginx", (None, None, None)),
        ("222222222222.dkr.ecr.eu-west-1.amazonaws.com.evil.example/app", (None, None, None)),
    ],
)
def test_the_registry_is_read_from_the_image(image: str, registry: tuple[str | None, ...]) -> None:
    [row] = model_rows(
        "resources.running_image",
        {
            **RUNNING,
            "task_container": [
                {"resource_id": "svc-a", "container_name": "web", "image": image, "image_digest": DIGEST}
            ],
        },
        "registry_account, registry_region, repository_name",
    )
    assert tuple(row.values()) == registry


def test_the_digest_is_the_tasks_else_the_references_else_the_tags() -> None:
    images = {
        "task": (f"{IMAGE}:2", OTHER),
        "reference": (f"{IMAGE}:2@{OTHER}", None),
        "tag": (f"{IMAGE}:2", None),
        "latest": (IMAGE, None),
        "unknown": (f"{IMAGE}:3", None),
    }
    rows = model_rows(
        "resources.running_image",
        {
            "service": [{"resource_id": "svc-a"}],
            "task_container": [
                {"resource_id": "svc-a", "container_name": name, "image": image, "image_digest": digest}
                for name, (image, digest) in images.items()
            ],
            "image": [{"repository_name": "app", "image_digest": DIGEST, "image_tags": ["2", "latest"]}],
        },
        "container_name, image_digest",
    )
    assert {row["container_name"]: row["image_digest"] for row in rows} == {
        "task": OTHER,
        "reference": OTHER,
        "tag": DIGEST,
        "latest": DIGEST,
        "unknown": None,
    }


@pytest.mark.parametrize(("days", "is_kept"), [(1, True), (7, True), (8, False)])
def test_a_dormant_service_keeps_the_images_it_ran_for_seven_days(days: int, is_kept: bool) -> None:
    rows = model_rows(
        "resources.running_image",
        {"service": [{"resource_id": "svc-a", "desired_count": 0, "running_count": 0}]},
        "image_digest, is_running, last_running_date",
        previous={
            "service_image": [
                {
                    "resource_id": "svc-a",
                    "container_name": "web",
                    "image": IMAGE,
                    "image_digest": DIGEST,
                    "last_running_date": day(days),
                }
            ]
        },
    )
    kept = [{"image_digest": DIGEST, "is_running": False, "last_running_date": day(days)}]
    assert rows == (kept if is_kept else [])


def test_a_service_that_runs_again_runs_what_its_tasks_run() -> None:
    rows = model_rows(
        "resources.running_image",
        RUNNING,
        "image_digest",
        previous={
            "service_image": [
                {
                    "resource_id": "svc-a",
                    "container_name": "web",
                    "image": IMAGE,
                    "image_digest": OTHER,
                    "last_running_date": day(1),
                }
            ]
        },
    )
    assert rows == [{"image_digest": DIGEST}]


ENDED = {"scan_status": "INACTIVE", "finding_source": "ecr_basic"}


def at(days_ago: int) -> datetime:
    return datetime.combine(day(days_ago), time(12), UTC)


BASIC = {"scan_reason": "COMPLETE", "finding_source": "ecr_basic", "last_scanned_at": at(1)}


@pytest.mark.parametrize(
    ("covered", "found", "before", "unseen", "status"),
    [
        ({}, False, None, {}, "scanned"),
        ({"scan_reason": "PENDING_INITIAL_SCAN"}, False, None, {}, "never_scanned"),
        ({"scan_status": "INACTIVE", "scan_reason": "SCAN_ELIGIBILITY_EXPIRED"}, False, None, {}, "no_longer_scanned"),
        ({"scan_status": "INACTIVE", "scan_reason": "UNSUPPORTED_OS"}, False, None, {}, "unsupported"),
        ({"scan_reason": None}, False, None, {}, "scanned"),
        (BASIC, False, None, {}, "scanned"),
        (BASIC | {"last_scanned_at": at(30)}, False, None, {}, "scanned"),
        # A basic scan is of one moment, and speaks for the image for thirty days; one without a day does not.
        (BASIC | {"last_scanned_at": at(31)}, False, None, {}, "no_longer_scanned"),
        (BASIC | {"last_scanned_at": at(31)}, True, "scanned", {}, "no_longer_scanned"),
        (BASIC | {"last_scanned_at": None}, False, None, {}, "no_longer_scanned"),
        (
            {"finding_source": "ecr_enhanced", "scan_reason": "ACTIVE", "last_scanned_at": at(60)},
            False,
            None,
            {},
            "scanned",
        ),
        (ENDED | {"scan_reason": "SCAN_NOT_FOUND"}, False, None, {}, "never_scanned"),
        (ENDED | {"scan_reason": "SCAN_NOT_FOUND"}, False, "scanned", {}, "no_longer_scanned"),
        (ENDED | {"scan_reason": "PENDING"}, False, None, {}, "never_scanned"),
        (ENDED | {"scan_reason": "IN_PROGRESS"}, False, "scanned", {}, "no_longer_scanned"),
        (ENDED | {"scan_reason": "FAILED"}, False, None, {}, "never_scanned"),
        (ENDED | {"scan_reason": "FINDINGS_UNAVAILABLE"}, False, None, {}, "never_scanned"),
        (ENDED | {"scan_reason": "LIMIT_EXCEEDED"}, False, None, {}, "never_scanned"),
        (ENDED | {"scan_reason": "UNSUPPORTED_IMAGE"}, False, None, {}, "unsupported"),
        (ENDED | {"scan_reason": "IMAGE_SIZE_EXCEEDED"}, False, None, {}, "unsupported"),
        (ENDED | {"scan_reason": "IMAGE_ARCHIVED"}, False, None, {}, "no_longer_scanned"),
        (ENDED | {"scan_reason": "a word of tomorrow"}, False, None, {}, "no_longer_scanned"),
        (ENDED | {"scan_reason": None}, False, None, {}, "no_longer_scanned"),
        (None, True, None, {"image_coverage": "denied"}, "scanned"),
        (None, False, None, {}, "never_scanned"),
        (None, False, "scanned", {}, "no_longer_scanned"),
        (None, False, None, {"image_coverage": "not_enabled"}, "never_scanned"),
        (None, False, "scanned", {"image_coverage": "not_enabled"}, "no_longer_scanned"),
        # Who was not asked today has not said that the image is gone, nor that it never was there.
        (None, False, None, {"image_coverage": "denied"}, "unknown"),
        (None, False, None, {"image_coverage": ("denied", day(3))}, "unknown"),
        (None, False, "scanned", {"image_coverage": "denied"}, "unknown"),
        (None, False, "scanned", {"image": "failed"}, "unknown"),
        (None, False, "never_scanned", {"image_coverage": ("denied", day(1))}, "never_scanned"),
    ],
)
def test_what_is_known_of_an_images_vulnerabilities(
    covered: dict[str, str] | None, found: bool, before: str | None, unseen: dict[str, Any], status: str
) -> None:
    rows = model_rows(
        "resources.image_scan",
        {
            **RUNNING,
            "image_coverage": [] if covered is None else [COVERED | covered],
            "image_finding": [FINDING] if found else [],
        },
        "scan_status",
        previous={
            "service_image": [{**KEY, "registry_region": REGION, "resource_id": "svc-a", "scan_status": before}]
            if before
            else []
        },
        unseen=unseen,
    )
    assert rows == [{"scan_status": status}]


BEFORE = KEY | {
    "vulnerability_id": "CVE-1",
    "package_name": "x",
    "installed_version": "1",
    "is_network_exploitable": True,
    "is_availability_only": False,
    "automatable": True,
    "technical_impact": "total",
    "observed_date": day(1),
}


@pytest.mark.parametrize(
    ("covered", "dates"),
    [
        ({}, []),  # scanned and no longer found: fixed
        ({"scan_status": "INACTIVE", "scan_reason": "SCAN_ELIGIBILITY_EXPIRED"}, [day(1)]),
        ({"scan_status": "INACTIVE", "scan_reason": "UNSUPPORTED_OS"}, [day(1)]),
    ],
)
def test_vulnerabilities_of_an_image_no_longer_scanned_stay(covered: dict[str, str], dates: list[date]) -> None:
    rows = model_rows(
        "resources.image_vulnerability",
        {**RUNNING, "image_coverage": [COVERED | covered]},
        "is_carried, observed_date, technical_impact",
        previous={"image_vulnerability": [BEFORE]},
    )
    assert rows == [{"is_carried": True, "observed_date": item, "technical_impact": "total"} for item in dates]


@pytest.mark.parametrize(("path", "stays"), [("app/lib/x.jar", True), (None, False)])
def test_a_basic_scan_says_nothing_of_packages_it_does_not_look_at(path: str | None, stays: bool) -> None:
    """The day after Inspector was switched off: what it saw in the application's packages is not fixed by that."""
    for source, kept in (("ecr_basic", stays), ("ecr_enhanced", False)):
        rows = model_rows(
            "resources.image_vulnerability",
            {**RUNNING, "image_coverage": [COVERED | BASIC | {"finding_source": source}]},
            "vulnerability_id, is_carried",
            previous={"image_vulnerability": [BEFORE | {"package_file_path": path}]},
        )
        assert rows == ([{"vulnerability_id": "CVE-1", "is_carried": True}] if kept else [])


def test_platforms_of_an_index_and_tellers_of_a_vulnerability_fold_into_one_row() -> None:
    amd, arm = "sha256:" + "11" * 32, "sha256:" + "22" * 32
    rows = model_rows(
        "resources.image_vulnerability",
        {
            **RUNNING,
            "image": [{"repository_name": "app", "image_digest": DIGEST, "platform_digests": [amd, arm]}],
            "image_finding": [
                FINDING | {"finding_arn": "f-amd", "image_digest": amd, "finding_status": "SUPPRESSED"},
                FINDING | {"finding_arn": "f-arm", "image_digest": arm},
            ],
            "vulnerability_detail": [
                {"vulnerability_id": "CVE-1", "is_kev": False},
                {"vulnerability_id": "CVE-1", "is_kev": True, "account_id": "222222222222"},
            ],
        },
        "image_digest, finding_arn, is_suppressed, kev, probability",
    )
    assert rows == [
        {"image_digest": DIGEST, "finding_arn": "f-arm", "is_suppressed": False, "kev": True, "probability": 1.0}
    ]


def epss(previous: dict[int, float], today: float | None) -> tuple[list[tuple[date, float]], float | None]:
    """The window (day, EPSS) and the EPSS in force, given EPSS by days ago and today's."""
    rows = {
        "vulnerability_epss": [
            {"vulnerability_id": "CVE-1", "epss_date": day(ago), "epss": value} for ago, value in previous.items()
        ]
    }
    snapshot = {**RUNNING, "image_finding": [FINDING | {"epss": today}]}
    window = model_rows("resources.vulnerability_epss", snapshot, "epss_date, epss", previous=rows)
    known = model_rows("resources.vulnerability_knowledge", snapshot, "epss", previous=rows)
    return [(row["epss_date"], row["epss"]) for row in window], known[0]["epss"] if known else None


def test_epss_is_the_highest_of_seven_days() -> None:
    assert epss({}, None) == ([], None)
    assert epss({1: 0.4}, 0.1) == ([(day(1), 0.4), (DAY, 0.1)], 0.4)
    assert epss({6: 0.4}, None) == ([(day(6), 0.4)], 0.4)
    assert epss({6: 0.4, 7: 0.9}, 0.1) == ([(day(6), 0.4), (DAY, 0.1)], 0.4)


def test_an_epss_last_known_outlives_its_window_until_another_is_told() -> None:
    previous = {"image_vulnerability": [BEFORE | {"epss": 0.4}]}
    silent = {**RUNNING, "image_finding": [FINDING]}
    told = {**RUNNING, "image_finding": [FINDING | {"epss": 0.2}]}
    assert model_rows("resources.vulnerability_knowledge", silent, "epss", previous=previous) == [{"epss": 0.4}]
    assert model_rows("resources.vulnerability_knowledge", told, "epss", previous=previous) == [{"epss": 0.2}]


@pytest.mark.parametrize(("days", "hits"), [(1, ["svc-a"]), (7, ["svc-a"]), (8, [])])
def test_a_vulnerability_of_a_dormant_service_is_gone_on_the_eighth_day(days: int, hits: list[str]) -> None:
    rows = model_rows(
        "traits.vulnerability",
        {
            "service": [{"resource_id": "svc-a", "desired_count": 0, "running_count": 0}],
            "image_coverage": [COVERED],
            "image_finding": [FINDING],
        },
        "resource_id",
        previous={
            "service_image": [
                {
                    **KEY,
                    "registry_region": REGION,
                    "resource_id": "svc-a",
                    "container_name": "web",
                    "image": IMAGE,
                    "last_running_date": day(days),
                }
            ]
        },
    )
    assert [row["resource_id"] for row in rows] == hits
