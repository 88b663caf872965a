"""The collectors over real HTTP against the sample organisation, and what each kind of failure leaves behind."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml
from ecs_exposure.aws import AwsAccess
from ecs_exposure.collectors import (
    GLOBAL_DATASETS,
    IMAGE_DATASETS,
    REGION_DATASETS,
    Target,
    TargetResult,
    collect_target,
)
from ecs_exposure.collectors.images import ImageRequest, collect_images
from ecs_exposure.collectors.organizations import DiscoveryError, discover
from ecs_exposure.collectors.service_control import CONTROL_DATASETS
from ecs_exposure.schemas.snapshots import SNAPSHOTS
from ecs_exposure.settings import Settings, load
from embedded_aws import EmbeddedAws

SAMPLE = Path(__file__).parents[2] / "examples" / "sample_org"
TOP = yaml.safe_load((SAMPLE / "organization.yaml").read_text())
IDS = {name: str(account["id"]) for name, account in TOP["accounts"].items()}
MANAGEMENT = next(IDS[name] for name, account in TOP["accounts"].items() if "unit" not in account)
INSPECTOR = IDS[TOP["inspector_administrator"]]
DAY = date(2026, 11, 2)


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedAws]:
    with EmbeddedAws(SAMPLE, 1) as embedded:
        yield embedded


@pytest.fixture
def aws(server: EmbeddedAws, monkeypatch: pytest.MonkeyPatch) -> EmbeddedAws:
    for name, value in server.environ().items():
        monkeypatch.setenv(name, value)
    return server


@pytest.fixture
def settings(aws: EmbeddedAws) -> Settings:
    return load(
        organization_account_id=MANAGEMENT,
        inspector_account_id=INSPECTOR,
        external_id=TOP["scanner"]["external_id"],
        regions=("eu-west-1", "us-east-1"),
        rate_share=1.0,
    )


def collected(settings: Settings, target: Target, **options: Any) -> TargetResult:
    return collect_target(
        AwsAccess(settings), settings, target, snapshot_date=DAY, fingerprint_key=b"k" * 32, **options
    )


def statuses(result: TargetResult) -> dict[str, str]:
    return {row["dataset"]: row["status"] for row in result.coverage}


@pytest.fixture
def busy(settings: Settings) -> Target:
    """A target of the sample organisation with services and task roles."""
    return Target("333333333333", "eu-west-1")


def test_a_target_is_seen_whole_and_fits_the_schema(settings: Settings, busy: Target) -> None:
    result = collected(settings, busy)
    assert statuses(result) == dict.fromkeys(REGION_DATASETS, "ok")
    for name, rows in result.rows.items():
        SNAPSHOTS[name].to_arrow(rows)
        keys = [tuple(row[column] for column in SNAPSHOTS[name].key) for row in rows]
        assert len(keys) == len(set(keys)), name
    counted = {row["dataset"]: row["rows"] for row in result.coverage}
    assert counted == {name: len(result.rows.get(name, [])) for name in REGION_DATASETS}
    defined = {row["task_definition_arn"] for row in result.rows["task_definition"]}
    assert {row["task_definition_arn"] for row in result.rows["deployment"]} <= defined
    assert all(row["standalone_task_count"] is not None for row in result.rows["cluster"])


def test_the_global_target_is_iam(settings: Settings, busy: Target) -> None:
    result = collected(settings, Target(busy.account_id, "global"))
    assert set(statuses(result)) == set(GLOBAL_DATASETS)


def test_known_definitions_are_not_described_again(settings: Settings, busy: Target) -> None:
    first = collected(settings, busy)
    known: dict[str, dict[str, list[dict[str, Any]]]] = {}
    for name in ("task_definition", "container", "volume", "credential"):
        for row in first.rows.get(name, []):
            known.setdefault(row["task_definition_arn"], {}).setdefault(name, []).append(row)
    access = AwsAccess(settings)
    second = collect_target(
        access, settings, busy, snapshot_date=date(2026, 11, 3), known_definitions=known, fingerprint_key=b"k" * 32
    )
    assert access.operations()["ecs", "DescribeTaskDefinition"] == 0
    assert len(second.rows["container"]) == len(first.rows["container"])
    assert {row["observed_date"] for row in second.rows["container"]} == {date(2026, 11, 3)}
    for (row,) in (rows["task_definition"] for rows in known.values()):
        row["extractor_version"] = f"0-{row['extractor_version'].partition('-')[2]}"  # judged by an older detector
    third = collect_target(
        access, settings, busy, snapshot_date=date(2026, 11, 3), known_definitions=known, fingerprint_key=b"k" * 32
    )
    assert access.operations()["ecs", "DescribeTaskDefinition"] == len(known)
    assert third.rows["container"] == second.rows["container"]


def test_a_denied_call_blinds_its_datasets_and_those_that_need_them(
    aws: EmbeddedAws, settings: Settings, busy: Target
) -> None:
    aws.fault(service="ecs", operation="DescribeTasks", code="AccessDeniedException", message="not authorized", times=1)
    result = collected(settings, busy)
    found = statuses(result)
    assert {name for name, status in found.items() if status != "ok"} == {"task", "task_container"}
    assert found["task"] == "denied"
    assert "task" not in result.rows and result.rows["service"]
    aws.fault(service="ecs", operation="ListServices", code="AccessDeniedException", message="not authorized", times=1)
    result = collected(settings, busy)
    messages = {row["dataset"]: row["message"] for row in result.coverage}
    assert statuses(result)["task_definition"] == "denied"
    assert "needs service" in messages["task_definition"]


def test_an_answer_cut_short_is_a_failure_not_an_empty_list(aws: EmbeddedAws, settings: Settings, busy: Target) -> None:
    aws.fault(service="ecs", operation="ListServices", truncate=True, times=1)
    result = collected(settings, busy)
    assert statuses(result)["service"] == "failed"
    assert "service" not in result.rows


def test_a_throttled_call_is_tried_again(aws: EmbeddedAws, settings: Settings, busy: Target) -> None:
    aws.fault(service="ecs", operation="DescribeServices", code="ThrottlingException", message="Rate exceeded", times=1)
    assert statuses(collected(settings, busy))["service"] == "ok"


def test_a_retry_collects_only_what_is_missing(settings: Settings, busy: Target) -> None:
    rest = {"task", "task_container"}
    result = collected(settings, busy, skip=frozenset(REGION_DATASETS) - rest)
    assert set(statuses(result)) == rest
    assert set(result.rows) <= rest and result.rows["task"]


def test_a_refused_role_says_once_what_to_deploy(settings: Settings, busy: Target) -> None:
    wrong = settings.model_copy(update={"read_role_name": "no-such-role"})
    result = collected(wrong, busy)
    assert statuses(result) == dict.fromkeys(REGION_DATASETS, "denied")
    (message,) = {row["message"] for row in result.coverage}
    assert busy.account_id in message and "deploy/" in message


def test_discovery_tells_accounts_paths_and_exclusions(settings: Settings, busy: Target) -> None:
    less = settings.model_copy(update={"exclude_accounts": (busy.account_id,)})
    organization = discover(AwsAccess(less), less, DAY)
    SNAPSHOTS["account"].to_arrow(organization.accounts)
    assert {row["account_id"] for row in organization.accounts} == set(IDS.values())
    assert [row["account_id"] for row in organization.accounts if row["is_management"]] == [MANAGEMENT]
    assert next(row["ou_path"] for row in organization.accounts if row["account_id"] == MANAGEMENT) == "/"
    assert busy.account_id not in {target.account_id for target in organization.targets}
    excluded = {
        (row["region"], row["dataset"])
        for row in organization.coverage
        if row["account_id"] == busy.account_id and row["status"] == "excluded"
    }
    assert excluded == {
        *((region, name) for region in settings.regions for name in REGION_DATASETS + IMAGE_DATASETS),
        *(("global", name) for name in GLOBAL_DATASETS),
    }


def test_an_included_stranger_is_named(settings: Settings) -> None:
    wrong = settings.model_copy(update={"include_accounts": ("123450000000",)})
    with pytest.raises(DiscoveryError, match="123450000000"):
        discover(AwsAccess(wrong), wrong, DAY)


def test_tags_that_may_not_be_read_are_unknown(aws: EmbeddedAws, settings: Settings) -> None:
    aws.fault(
        service="organizations", operation="ListTagsForResource", code="AccessDeniedException", message="no", times=1
    )
    organization = discover(AwsAccess(settings), settings, DAY)
    assert {row["tags"] for row in organization.accounts} == {None}
    (message,) = (row["message"] for row in organization.coverage if row["dataset"] == "account")
    assert "tags" in message


@pytest.mark.parametrize("operation", ["ListPolicies", "DescribePolicy", "ListTargetsForPolicy"])
def test_service_control_policies_that_may_not_be_read_stop_nothing(
    aws: EmbeddedAws, settings: Settings, operation: str
) -> None:
    aws.fault(service="organizations", operation=operation, code="AccessDeniedException", message="no", times=1)
    organization = discover(AwsAccess(settings), settings, DAY)
    assert len(organization.accounts) == len(IDS)
    told = {row["dataset"]: row["status"] for row in organization.coverage if row["dataset"] in CONTROL_DATASETS}
    assert told == dict.fromkeys(CONTROL_DATASETS, "denied")
    assert not any(organization.rows[name] for name in CONTROL_DATASETS)


def image_requests(settings: Settings, target: Target) -> list[ImageRequest]:
    found: dict[str, set[str]] = {}
    for row in collected(settings, target).rows["task_container"]:
        registry, _, rest = row["image"].partition("/")
        if registry.startswith(target.account_id) and row["image_digest"]:
            found.setdefault(rest.partition(":")[0], set()).add(row["image_digest"])
    return [ImageRequest(target.account_id, target.region, name, frozenset(digests)) for name, digests in found.items()]


def test_images_are_asked_by_digest_and_only_those(settings: Settings, busy: Target) -> None:
    requests = image_requests(settings, busy)
    parts = list(collect_images(AwsAccess(settings), settings, busy.region, requests, snapshot_date=DAY))
    target, dataset, coverage = parts[-1]
    assert (target, dataset) == (busy, "coverage")
    assert {row["dataset"]: row["status"] for row in coverage} == dict.fromkeys(IMAGE_DATASETS, "ok")
    rows: dict[str, list[dict[str, Any]]] = {}
    for _, name, some in parts[:-1]:
        SNAPSHOTS[name].to_arrow(some)
        rows.setdefault(name, []).extend(some)
    asked = {(request.repository_name, digest) for request in requests for digest in request.image_digests}
    assert {(row["repository_name"], row["image_digest"]) for row in rows["image"]} == asked
    assert {row["vulnerability_id"] for row in rows["vulnerability_detail"]} <= {
        row["vulnerability_id"] for row in rows["image_finding"]
    }


def test_findings_that_end_halfway_are_not_seen(aws: EmbeddedAws, settings: Settings, busy: Target) -> None:
    requests = image_requests(settings, busy)
    aws.fault(service="inspector2", operation="ListFindings", truncate=True, times=1)
    *_, (_, _, coverage) = collect_images(AwsAccess(settings), settings, busy.region, requests, snapshot_date=DAY)
    found = {row["dataset"]: row["status"] for row in coverage}
    assert (found["image"], found["image_finding"], found["vulnerability_detail"]) == ("ok", "failed", "failed")
    assert {row["rows"] for row in coverage if row["status"] != "ok"} == {None}


@pytest.fixture
def unasked(settings: Settings) -> Settings:
    """Settings that leave it to each Region who administers Inspector."""
    return settings.model_copy(update={"inspector_account_id": None})


def second_wave(settings: Settings, *targets: Target) -> dict[tuple[str, str], dict[str, Any]]:
    """Coverage rows of the second wave by account and dataset; the targets are of one Region."""
    requests = [request for target in targets for request in image_requests(settings, target)]
    parts = collect_images(AwsAccess(settings), settings, targets[0].region, requests, snapshot_date=DAY)
    return {(row["account_id"], row["dataset"]): row for _, name, some in parts if name == "coverage" for row in some}


def asked(aws: EmbeddedAws, operation: str, region: str) -> dict[str, int]:
    """Calls of an operation in a Region by the account that sent them."""
    return {call[0]: count for call, count in aws.calls.items() if call[1] == region and call[3] == operation}


def test_one_account_names_the_regions_administrator_for_all(aws: EmbeddedAws, unasked: Settings, busy: Target) -> None:
    payments = Target("444444444444", busy.region)
    aws.calls.clear()
    coverage = second_wave(unasked, busy, payments)
    assert {row["status"] for row in coverage.values()} == {"ok"}
    assert asked(aws, "GetDelegatedAdminAccount", busy.region) == {busy.account_id: 1}
    assert asked(aws, "BatchGetAccountStatus", busy.region) == {INSPECTOR: 2}
    assert set(asked(aws, "ListFindings", busy.region)) == {INSPECTOR}


def test_an_administrator_without_the_scanners_role_leaves_the_account_to_itself(
    aws: EmbeddedAws, unasked: Settings, busy: Target
) -> None:
    aws.inspector2.delegate("123456123456", busy.region)
    try:
        aws.calls.clear()
        coverage = second_wave(unasked, busy)
    finally:
        aws.inspector2.delegate(INSPECTOR, busy.region)
    assert {row["status"] for row in coverage.values()} == {"ok"}
    assert set(asked(aws, "ListFindings", busy.region)) == {busy.account_id}


BASIC = Target("444444444444", "us-east-1")
"""A target of the sample organisation where Inspector is off and ECR's basic scanning on."""


def test_scan_results_of_ecr_stand_in_for_inspector(aws: EmbeddedAws, unasked: Settings) -> None:
    aws.fault(service="ecr", operation="DescribeImageScanFindings", code="ThrottlingException", message="slow", times=1)
    coverage = second_wave(unasked, BASIC)
    assert {name: row["status"] for (_, name), row in coverage.items()} == {
        **dict.fromkeys(IMAGE_DATASETS, "ok"),
        "vulnerability_detail": "not_enabled",
    }
    assert coverage[BASIC.account_id, "image_finding"]["rows"] == 2
    assert "basic scanning" in coverage[BASIC.account_id, "image_finding"]["message"]
    assert sum(row["api_calls"] for row in coverage.values()) >= 5


@pytest.mark.parametrize(
    ("fault", "status"),
    [
        ({"code": "AccessDeniedException", "message": "not authorized"}, "denied"),
        ({"code": "ServerException", "status": 400, "message": "broken"}, "failed"),
        ({"truncate": True}, "ok"),  # its lists stand one level down: nothing is lost
    ],
)
def test_scan_results_that_fail_are_said_with_inspectors_answer(
    aws: EmbeddedAws, unasked: Settings, fault: dict[str, Any], status: str
) -> None:
    aws.fault(service="ecr", operation="DescribeImageScanFindings", times=1, **fault)
    coverage = second_wave(unasked, BASIC)
    for name in ("image_coverage", "image_finding"):
        row = coverage[BASIC.account_id, name]
        assert row["status"] == status and "DISABLED" in row["message"]
    assert coverage[BASIC.account_id, "image"]["status"] == "ok"
