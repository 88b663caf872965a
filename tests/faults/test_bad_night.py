"""One night on which many things go wrong at once, and the same night again once they are mended.

Each fault shows in coverage with what to do, what was seen is kept, and nothing is doubled.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ecs_exposure.gate import GateSummary
from ecs_exposure.lake import Lake
from ecs_exposure.scan import scan
from ecs_exposure.settings import load
from embedded_aws import EmbeddedAws
from moto.iam.models import iam_backends

from tests.faults.conftest import ALPHA, BETA, DAY, DELTA, GAMMA, REGION, results, served

STRANGER = "999999999999"


@dataclass
class Night:
    """What one scan left: coverage by (account, Region, dataset), exposures by account/service, publications, calls."""

    gate: GateSummary
    coverage: dict[tuple[str, str, str], dict[str, Any]]
    exposures: dict[str, dict[str, Any]]
    publications: set[tuple[str, str]]
    calls: set[tuple[str, str]]
    hub: list[str]

    def of(self, account: str, dataset: str, region: str = REGION) -> dict[str, Any]:
        return self.coverage[account, region, dataset]


def scanned(aws: EmbeddedAws, lake: Lake) -> Night:
    before = aws.calls.copy()
    summary = scan(load(lake=lake.location, rate_share=1.0), lake, DAY)
    return Night(
        summary.gate,
        {(row["account_id"], row["region"], row["dataset"]): row for row in lake.coverage(DAY).to_pylist()},
        {
            f"{row['account_id']}/{row['service_name']}": row
            for row in results(lake, DAY, "select * from night.exposure")
        },
        {
            (row["account_id"], row["status"])
            for row in results(lake, DAY, "select account_id, status from night.publication where status <> 'sending'")
        },
        {(account, service) for account, _, service, _ in aws.calls - before},
        [finding["Id"] for finding in aws.securityhub.findings()],
    )


@pytest.fixture(scope="module")
def nights(organization: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Night, Night]]:
    """The bad night, and the same night again after the mending."""
    with served(organization) as aws, Lake.open(str(tmp_path_factory.mktemp("lake")), create=True) as lake:
        aws.fault(
            service="ec2",
            operation="DescribeSubnets",
            account_id=ALPHA,
            code="RequestLimitExceeded",
            status=503,
            times=2,
        )
        # Eleven services are two calls: the first passes, the second dies, as often as the scan tries.
        for after in (1, 2):
            aws.fault(
                service="ecs", operation="DescribeServices", account_id=BETA, code="ClientException", message="gone",
                after=after, times=1,
            )  # fmt: skip
        aws.fault(service="elbv2", operation="DescribeListeners", account_id=BETA, truncate=True, times=2)
        # Definitions are described in order: `all-gone` is the first.
        aws.fault(
            service="ecs", operation="DescribeTaskDefinition", account_id=GAMMA, code="ClientException",
            message="Unable to describe task definition.", times=1,
        )  # fmt: skip
        _service(aws, "all-gone")
        _service(aws, "foreign", image=f"{STRANGER}.dkr.ecr.{REGION}.amazonaws.com/theirs:1")
        _service(aws, "orphan", role=f"arn:aws:iam::{GAMMA}:role/deleted")
        iam_backends[GAMMA]["aws"].get_role("worker").put_policy("broken", '{"Statement": [{"Effect": "Allow", "Acti')
        bad = scanned(aws, lake)
        yield bad, scanned(aws, lake)


def _service(aws: EmbeddedAws, name: str, image: str = "busybox", role: str | None = None) -> None:
    ecs = aws.client("ecs", GAMMA, REGION)
    more = {"taskRoleArn": role} if role else {}
    ecs.register_task_definition(
        family=name, containerDefinitions=[{"name": "main", "image": image, "memory": 128}], **more
    )
    ecs.create_service(cluster="main", serviceName=name, taskDefinition=name, desiredCount=0)


@pytest.fixture(scope="module")
def bad(nights: tuple[Night, Night]) -> Night:
    return nights[0]


@pytest.fixture(scope="module")
def mended(nights: tuple[Night, Night]) -> Night:
    return nights[1]


def test_a_throttled_call_is_asked_again(bad: Night) -> None:
    assert bad.of(ALPHA, "subnet")["status"] == "ok"


def test_a_call_that_dies_between_two_pages_leaves_nothing_partial(bad: Night) -> None:
    row = bad.of(BETA, "service")
    assert (row["status"], row["rows"], row["file"]) == ("failed", None, None)
    assert "DescribeServices" in row["message"]
    assert not [name for name in bad.exposures if name.startswith(BETA)]


def test_an_answer_cut_short_is_failed_not_empty(bad: Night) -> None:
    row = bad.of(BETA, "listener")
    assert row["status"] == "failed"
    assert "describe_listeners answered without Listeners" in row["message"]


def test_a_definition_deleted_between_list_and_describe_leaves_its_service_with_unknowns(bad: Night) -> None:
    row = bad.of(GAMMA, "task_definition")
    assert row["status"] == "ok"
    assert "all-gone:1" in row["message"]
    assert "deleted in ECS" in row["message"]
    assert "task_definition_privileged" in bad.exposures[f"{GAMMA}/all-gone"]["unknown_traits"]


def test_an_account_that_denies_the_role_says_what_to_deploy(bad: Night) -> None:
    row = bad.of(DELTA, "service")
    assert row["status"] == "denied"
    assert "ecs-exposure-read" in row["message"]
    assert "deploy/" in row["message"]


def test_a_region_without_security_hub_is_recorded_for_its_findings_and_changes_nothing_else(bad: Night) -> None:
    assert bad.publications == {(ALPHA, "sent"), (GAMMA, "not_enabled")}
    assert bad.exposures[f"{GAMMA}/open"]["severity"] == bad.exposures[f"{ALPHA}/open"]["severity"]


def test_a_malformed_policy_makes_that_roles_impact_unknown_and_blinds_nothing(bad: Night) -> None:
    row = bad.of(GAMMA, "role_statement", "global")
    assert row["status"] == "ok"
    assert "worker" in row["message"]
    assert "broken" in row["message"]
    assert bad.exposures[f"{GAMMA}/web"]["impact"] == "Unknown"
    assert bad.exposures[f"{GAMMA}/web"]["is_minimum"] is True
    assert bad.exposures[f"{ALPHA}/web"]["impact"] == "Low"


def test_a_role_that_is_named_but_missing_makes_impact_unknown_and_quarantines_nothing(bad: Night) -> None:
    assert bad.gate.quarantined == 0
    assert bad.exposures[f"{GAMMA}/orphan"]["impact"] == "Unknown"
    assert bad.of(GAMMA, "service")["status"] == "ok"


def test_once_mended_only_what_was_not_seen_is_asked_for(mended: Night) -> None:
    assert {account for account, service in mended.calls if service in ("ecs", "elbv2", "ec2")} == {BETA}
    assert mended.of(BETA, "service")["rows"] == 11
    assert mended.of(BETA, "listener")["status"] == "ok"


def test_once_mended_the_accounts_that_are_alike_have_the_same_exposures(mended: Night) -> None:
    def of(account: str) -> dict[str, str]:
        prefix = f"{account}/"
        return {
            name.removeprefix(prefix): row["severity"]
            for name, row in mended.exposures.items()
            if name.startswith(prefix)
        }

    assert of(BETA) == of(ALPHA)
    assert of(ALPHA)


def test_once_mended_the_hub_holds_each_finding_once(bad: Night, mended: Night) -> None:
    assert len(mended.hub) == len(set(mended.hub))
    assert set(mended.hub) > set(bad.hub)


def test_a_registry_outside_the_organisation_is_unknown_and_never_called(bad: Night) -> None:
    for name in ("image", "image_finding"):
        row = bad.of(STRANGER, name)
        assert (row["status"], row["api_calls"]) == ("excluded", 0)
        assert "not in the scanned organisation" in row["message"]
    assert not [call for call in bad.calls if call[0] == STRANGER]
