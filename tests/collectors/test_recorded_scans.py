"""Whose scan results count for an image, by recorded answers: Inspector through its administrator, or as the account
itself, or ECR's own; and when a vulnerability's details are asked again.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from ecs_exposure.collectors.base import Row
from ecs_exposure.collectors.detail_answers import WEEK, Answer, is_due, is_likely
from ecs_exposure.collectors.images import collect_images
from ecs_exposure.schemas.snapshots import SNAPSHOTS
from hypothesis import given
from hypothesis import strategies as st

from tests.collectors.conftest import Play
from tests.collectors.playback import Playback
from tests.collectors.test_recorded import (
    ACCOUNT,
    DAY,
    REGION,
    REQUEST,
    digest,
    recorded,
    settings_of,
    tuples,
)

ADMINISTRATOR = "222222222222"
INSPECTOR_DATASETS = ("image_coverage", "image_finding", "vulnerability_detail")
NO_MEMBER = {
    "accounts": [],
    "failedAccounts": [{"accountId": ACCOUNT, "errorCode": "ACCESS_DENIED", "errorMessage": "no member"}],
}
DENIED = {"error": "AccessDeniedException", "message": "not authorized", "status": 403}
GONE = {"error": "ImageNotFoundException", "message": "The image does not exist in the repository"}
NO_SCAN = {"error": "ScanNotFoundException", "message": "Image scan does not exist for the image"}
Told = tuple[dict[str, list[Row]], dict[str, Row]]


def state(ecr: str) -> dict[str, Any]:
    one = {"errorCode": "ALREADY_ENABLED", "errorMessage": "x"}
    resources = {"ec2": {**one, "status": "DISABLED"}, "ecr": {**one, "status": ecr}}
    return {"accounts": [{"accountId": ACCOUNT, "state": {**one, "status": ecr}, "resourceState": resources}]}


def collected(playback: Playback, answers: dict[str, Answer] | None = None, **options: Any) -> Told:
    """Rows by dataset, each fit for its schema, and coverage by dataset."""
    settings = settings_of(**options)
    rows: dict[str, list[Row]] = {}
    parts = collect_images(
        playback.access(settings), settings, REGION, [REQUEST], snapshot_date=DAY, answers=answers or {}
    )
    for _, name, some in parts:
        rows.setdefault(name, []).extend(some)
    coverage = {row["dataset"]: row for row in rows.pop("coverage")}
    for name, found in rows.items():
        assert coverage[name]["rows"] in (len(found), None)
        rows[name] = SNAPSHOTS[name].to_arrow(found).to_pylist()
    return rows, coverage


def with_status(*status: Any, **others: list[Any]) -> dict[tuple[str, str], list[Any]]:
    """The recorded answers, with these to BatchGetAccountStatus in turn, and others by operation."""
    answers = recorded("ecr", "inspector2") | {("inspector2", "BatchGetAccountStatus"): list(status)}
    for name, given_ones in others.items():
        answers["ecr" if name == "DescribeImageScanFindings" else "inspector2", name] = given_ones
    return answers


# --- whose eyes ---


def test_the_regions_delegated_administrator_is_asked_and_nobody_else(play: Play) -> None:
    playback = play(recorded("ecr", "inspector2"))
    rows, coverage = collected(playback)
    assert {row["status"] for row in coverage.values()} == {"ok"}
    assert {row["finding_source"] for row in rows["image_finding"] + rows["image_coverage"]} == {"inspector"}
    assumed = [call["RoleArn"].split(":")[4] for call in playback.asked("AssumeRole")]
    assert assumed == [ACCOUNT, ADMINISTRATOR]
    assert len(playback.asked("GetDelegatedAdminAccount")) == len(playback.asked("BatchGetAccountStatus")) == 1
    assert not playback.asked("DescribeImageScanFindings")


def test_the_setting_names_the_administrator_without_asking(play: Play) -> None:
    playback = play(recorded("ecr", "inspector2"))
    _, coverage = collected(playback, inspector_account_id="333333333333")
    assert coverage["image_finding"]["status"] == "ok"
    assert not playback.asked("GetDelegatedAdminAccount")
    assert {call["RoleArn"].split(":")[4] for call in playback.asked("AssumeRole")} == {ACCOUNT, "333333333333"}


@pytest.mark.parametrize(
    "told",
    [
        {"error": "ResourceNotFoundException", "message": "none", "status": 404},
        DENIED,
        {"delegatedAdmin": {"accountId": ADMINISTRATOR, "relationshipStatus": "REMOVED"}},
        {},
    ],
)
def test_without_an_administrator_the_account_is_asked_itself(play: Play, told: dict[str, Any]) -> None:
    playback = play(recorded("ecr", "inspector2") | {("inspector2", "GetDelegatedAdminAccount"): [told]})
    _, coverage = collected(playback)
    assert coverage["image_finding"]["status"] == "ok"
    assert {call["RoleArn"].split(":")[4] for call in playback.asked("AssumeRole")} == {ACCOUNT}


def test_an_excluded_administrator_is_never_asked(play: Play) -> None:
    playback = play(recorded("ecr", "inspector2"))
    collected(playback, exclude_accounts=(ADMINISTRATOR,))
    assert {call["RoleArn"].split(":")[4] for call in playback.asked("AssumeRole")} == {ACCOUNT}


@pytest.mark.parametrize("first", [NO_MEMBER, DENIED])
def test_an_account_the_administrator_does_not_know_is_asked_itself(play: Play, first: dict[str, Any]) -> None:
    playback = play(with_status(first, state("ENABLED")))
    rows, coverage = collected(playback)
    assert {coverage[name]["status"] for name in INSPECTOR_DATASETS} == {"ok"}
    arns = [row["finding_arn"] + str(row["package_name"]) for row in rows["image_finding"]]
    assert len(arns) == len(set(arns)) == 3


def test_neither_knowing_the_account_tells_both_answers(play: Play) -> None:
    answers = with_status(NO_MEMBER, DENIED, DescribeImageScanFindings=[GONE, *[NO_SCAN] * 3])
    _, coverage = collected(play(answers))
    assert {coverage[name]["status"] for name in INSPECTOR_DATASETS} == {"denied"}
    message = coverage["image_finding"]["message"]
    assert ADMINISTRATOR in message and "member" in message and "AccessDeniedException" in message


def test_an_administrator_that_fails_for_the_moment_is_worth_another_try(play: Play) -> None:
    broken = {"error": "ValidationException", "message": "odd"}
    _, coverage = collected(play(with_status(broken, NO_MEMBER)))
    assert {coverage[name]["status"] for name in INSPECTOR_DATASETS} == {"failed"}
    assert "odd" in coverage["image_finding"]["message"] and "member" in coverage["image_finding"]["message"]


def test_the_administrators_word_that_scanning_is_off_is_final(play: Play) -> None:
    playback = play(with_status(state("DISABLED"), DescribeImageScanFindings=[GONE, *[NO_SCAN] * 3]))
    rows, coverage = collected(playback)
    assert {coverage[name]["status"] for name in INSPECTOR_DATASETS} == {"not_enabled"}
    assert coverage["image"]["status"] == "ok" and not {"image_finding", "image_coverage"} & set(rows)
    assert len(playback.asked("BatchGetAccountStatus")) == 1


# --- ECR's own scan results ---


def test_without_inspector_ecrs_own_scans_are_read(play: Play) -> None:
    playback = play(with_status(state("DISABLED")))
    rows, coverage = collected(playback)
    columns = (
        "vulnerability_id", "image_digest", "package_name", "package_version", "package_file_path", "severity",
        "finding_source", "attack_vector", "cvss_base_score", "exploit_available", "fixed_in_version",
    )  # fmt: skip
    c, d = digest("c"), digest("d")
    assert {row.get("epss") for row in rows["image_finding"]} == {None}
    assert tuples(rows["image_finding"], *columns) == {
        ("CVE-2026-1", c, "e2fsprogs", "1.2-3", None, "MEDIUM", "ecr_basic", "LOCAL", 4.6, None, None),
        ("CVE-2026-2", c, "openssl", "3.0.1-1", None, "UNTRIAGED", "ecr_basic", None, None, None, None),
        ("CVE-2026-3", c, "curl", "1:2.0", None, "CRITICAL", "ecr_basic", "NETWORK", 9.8, None, None),
        ("CVE-2026-4", d, "netty", "4.1.0", "app/netty.jar", "HIGH", "ecr_enhanced", "NETWORK", 7.5, False, "4.1.1"),
        ("CVE-2026-4", d, "codec", "4.1.0", "app/codec.jar", "HIGH", "ecr_enhanced", "NETWORK", 7.5, False, None),
    }  # fmt: skip
    assert tuples(rows["image_coverage"], "image_digest", "scan_status", "scan_reason", "finding_source") == {
        (c, "ACTIVE", "COMPLETE", "ecr_basic"),
        (d, "ACTIVE", "ACTIVE", "ecr_enhanced"),
        (digest("e"), "INACTIVE", "SCAN_NOT_FOUND", "ecr_basic"),
    }
    scanned = {row["image_digest"]: row["last_scanned_at"] for row in rows["image_coverage"]}
    assert scanned[c] == datetime(2026, 10, 30, 4, 5, 6, tzinfo=UTC)
    for name in ("image_coverage", "image_finding"):
        assert coverage[name]["status"] == "ok"
        assert "basic and enhanced" in coverage[name]["message"] and "DISABLED" in coverage[name]["message"]
    assert coverage["vulnerability_detail"]["status"] == "not_enabled"
    # The index itself is not asked for: ECR scans the manifests in it.
    assert [call["imageId"]["imageDigest"] for call in playback.asked("DescribeImageScanFindings")] == [
        digest("b"), c, c, d, digest("e")
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("status", "active"),
    [
        ("COMPLETE", True), ("ACTIVE", True), ("FAILED", False), ("UNSUPPORTED_IMAGE", False), ("PENDING", False),
        ("IN_PROGRESS", False), ("SCAN_ELIGIBILITY_EXPIRED", False), ("FINDINGS_UNAVAILABLE", False),
        ("LIMIT_EXCEEDED", False), ("IMAGE_ARCHIVED", False), ("IMAGE_SIZE_EXCEEDED", False),
    ],
)  # fmt: skip
def test_only_a_finished_scan_makes_an_image_scanned(play: Play, status: str, active: bool) -> None:
    told = {"imageScanStatus": {"status": status}} | ({"imageScanFindings": {}} if active else {})
    rows, _ = collected(play(with_status(state("DISABLED"), DescribeImageScanFindings=[GONE, told, NO_SCAN, NO_SCAN])))
    (row,) = (row for row in rows["image_coverage"] if row["image_digest"] == digest("c"))
    assert (row["scan_status"], row["scan_reason"]) == ("ACTIVE" if active else "INACTIVE", status)


@pytest.mark.parametrize(
    ("told", "status", "words"),
    [
        (DENIED, "denied", "deploy/"),
        ({"error": "ServerException", "message": "sorry", "status": 400}, "failed", "sorry"),
        ({"imageScanStatus": {"status": "COMPLETE"}}, "failed", "imageScanFindings"),
        (
            {"imageScanStatus": {"status": "COMPLETE"}, "imageScanFindings": {"findingSeverityCounts": {"HIGH": 3}}},
            "failed",
            "counts 3",
        ),
        ({}, "failed", "imageScanStatus"),
    ],
)
def test_scan_results_that_could_not_be_read_are_no_clean_images(
    play: Play, told: dict[str, Any], status: str, words: str
) -> None:
    _, coverage = collected(play(with_status(state("DISABLED"), DescribeImageScanFindings=[told])))
    for name in ("image_coverage", "image_finding"):
        assert coverage[name]["status"] == status and words in coverage[name]["message"]
        assert "DISABLED" in coverage[name]["message"] and coverage[name]["rows"] is None


def test_images_deleted_meanwhile_have_no_scan(play: Play) -> None:
    gone = [{"error": name, "message": "gone"} for name in ("ImageNotFoundException", "RepositoryNotFoundException")]
    clean = {"imageScanStatus": {"status": "COMPLETE"}, "imageScanFindings": {"findings": []}}
    rows, _ = collected(play(with_status(state("DISABLED"), DescribeImageScanFindings=[*gone, clean, GONE])))
    assert tuples(rows["image_coverage"], "image_digest", "scan_status") == {(digest("d"), "ACTIVE")}


# --- details once a week ---


def stored(asked: date, region: str = REGION, **columns: Any) -> Answer:
    row = dict.fromkeys(SNAPSHOTS["vulnerability_detail"].column_names[3:]) | {"asked_date": asked, **columns}
    return Answer(asked, region, row)


def test_an_answer_of_this_week_serves_again_with_the_day_it_was_given(play: Play) -> None:
    fresh = DAY - timedelta(days=1)
    names = [name for name in ("CVE-2026-1", "CVE-2026-2") if not is_due(name, stored(fresh, "elsewhere"), DAY, REGION)]
    assert names == ["CVE-2026-1", "CVE-2026-2"]
    answers = {
        "CVE-2026-1": stored(fresh, "elsewhere", vulnerability_id="CVE-2026-1", is_kev=True),
        "CVE-2026-2": stored(fresh, "elsewhere", vulnerability_id="CVE-2026-2"),
        "CVE-2026-9": stored(fresh, "elsewhere", vulnerability_id="CVE-2026-9", is_kev=True),
    }
    playback = play(recorded("ecr", "inspector2"))
    rows, coverage = collected(playback, answers)
    assert not playback.asked("BatchGetFindingDetails") and coverage["vulnerability_detail"]["status"] == "ok"
    assert tuples(rows["vulnerability_detail"], "vulnerability_id", "is_kev", "asked_date", "observed_date") == {
        ("CVE-2026-1", True, fresh, DAY),
        ("CVE-2026-2", None, fresh, DAY),
    }


def test_an_answer_a_week_old_is_asked_again(play: Play) -> None:
    old = stored(DAY - timedelta(days=WEEK), vulnerability_id="CVE-2026-1", is_kev=False)
    playback = play(recorded("ecr", "inspector2"))
    rows, _ = collected(playback, {"CVE-2026-1": old})
    assert {row["vulnerability_id"]: row["is_kev"] for row in rows["vulnerability_detail"]}["CVE-2026-1"] is True
    assert len(playback.asked("BatchGetFindingDetails")) == 1


@given(st.integers(0, 10**9))
def test_a_vulnerability_is_asked_once_in_every_seven_nights(number: int) -> None:
    name, asked = f"CVE-2026-{number}", stored(DAY)
    nights = []
    for night in range(1, 4 * WEEK + 1):
        if is_due(name, asked, DAY + timedelta(days=night), REGION):
            nights.append(night)
            asked = stored(DAY + timedelta(days=night))
    assert nights[0] <= WEEK
    assert {later - sooner for sooner, later in pairwise(nights)} == {WEEK}


def test_a_likely_vulnerability_that_enters_the_catalogue_is_seen_the_same_night(play: Play) -> None:
    yesterday = DAY - timedelta(days=1)
    answers = {name: stored(yesterday, vulnerability_id=name, is_kev=False) for name in ("CVE-2026-1", "CVE-2026-2")}
    assert not any(is_due(name, answer, DAY, REGION) for name, answer in answers.items())
    playback = play(recorded("ecr", "inspector2"))
    rows, _ = collected(playback, answers)
    assert tuples(rows["vulnerability_detail"], "vulnerability_id", "is_kev", "asked_date") == {
        ("CVE-2026-1", True, DAY),  # has a public exploit
        ("CVE-2026-2", False, yesterday),
    }


def test_what_the_catalogue_may_take_in_next_is_asked_every_night() -> None:
    yesterday = DAY - timedelta(days=1)
    for number in range(WEEK):
        name = f"CVE-2026-{number}"
        assert is_due(name, stored(yesterday, is_kev=False), DAY, REGION, likely=True)
        assert is_due(name, stored(yesterday), DAY, REGION, likely=True)
        assert not is_due(name, stored(yesterday, is_kev=False), DAY, "us-east-1", likely=True)
        assert not is_due(name, stored(DAY, is_kev=False), DAY, REGION, likely=True)
    names = [f"CVE-2026-{number}" for number in range(700)]
    in_it = [name for name in names if is_due(name, stored(yesterday, is_kev=True), DAY, REGION, likely=True)]
    assert 50 < len(in_it) < 150
    assert [is_likely(*given) for given in ((True, None), (False, 0.1), (None, 0.09), (None, None))] == [
        True, True, False, False
    ]  # fmt: skip


def test_no_night_asks_for_more_than_its_share() -> None:
    names = [f"CVE-2025-{number}" for number in range(7000)]
    yesterday = stored(DAY - timedelta(days=1))
    due = [name for name in names if is_due(name, yesterday, DAY, REGION)]
    assert 800 < len(due) < 1200
    assert not any(is_due(name, yesterday, DAY, "us-east-1") for name in names)  # one Region's answer serves all
    assert not any(is_due(name, stored(DAY), DAY, REGION) for name in names)  # an earlier try of the same night
    assert all(is_due(name, None, DAY, REGION) for name in names)


def test_details_may_be_refused_while_findings_are_seen(play: Play) -> None:
    _, coverage = collected(play(recorded("ecr", "inspector2") | {("inspector2", "BatchGetFindingDetails"): [DENIED]}))
    assert (coverage["image_finding"]["status"], coverage["vulnerability_detail"]["status"]) == ("ok", "denied")
