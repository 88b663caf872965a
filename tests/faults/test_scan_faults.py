"""When things are wrong: each fault shows in coverage or a clear error; what was seen is kept, nothing is doubled."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError
from ecs_exposure import collectors
from ecs_exposure.collectors import Collector, Context
from ecs_exposure.collectors.organizations import DiscoveryError
from ecs_exposure.gate import GateError
from ecs_exposure.lake import Lake, LakeError
from ecs_exposure.scan import ScanError, scan
from ecs_exposure.securityhub.publisher import PublishError
from ecs_exposure.settings import Settings, load
from embedded_aws import EmbeddedAws
from moto.iam.models import iam_backends

from tests.faults.conftest import ALPHA, BETA, DAY, DELTA, GAMMA, REGION, coverage, results, severities


def test_many_things_wrong_at_once_and_the_same_day_again_once_they_are_mended(
    aws: EmbeddedAws, settings: Settings, lake: Lake
) -> None:
    aws.fault(
        service="ec2", operation="DescribeSubnets", account_id=ALPHA, code="RequestLimitExceeded", status=503, times=2
    )
    aws.fault(
        service="ecs", operation="DescribeServices", account_id=BETA, code="ClientException", message="gone", after=1
    )
    aws.fault(service="elbv2", operation="DescribeListeners", account_id=BETA, truncate=True)
    aws.fault(
        service="ecs", operation="DescribeTaskDefinition", account_id=GAMMA, code="ClientException",
        message="Unable to describe task definition.", times=1,
    )  # fmt: skip
    scan(settings, lake, DAY)

    # Throttled: asked again, seen.
    assert coverage(lake, DAY, ALPHA, "subnet")["status"] == "ok"
    # Died between two pages: nothing partial is kept.
    row = coverage(lake, DAY, BETA, "service")
    assert (row["status"], row["rows"], row["file"]) == ("failed", None, None)
    assert "DescribeServices" in row["message"]
    # 200 without its list: failed, not empty.
    row = coverage(lake, DAY, BETA, "listener")
    assert row["status"] == "failed"
    assert "describe_listeners answered without Listeners" in row["message"]
    # Deregistered between list and describe: the service keeps its row, and what it would show is unknown.
    row = coverage(lake, DAY, GAMMA, "task_definition")
    assert row["status"] == "ok"
    assert "deleted in ECS" in row["message"]
    unknown = results(lake, DAY, "select unknown_traits from night.exposure where len(unknown_traits) > 0")
    assert any("task_definition_privileged" in found["unknown_traits"] for found in unknown)
    # An account that denies the role: every dataset, with what to deploy.
    row = coverage(lake, DAY, DELTA, "service")
    assert row["status"] == "denied"
    assert "ecs-exposure-read" in row["message"]
    assert "deploy" in row["message"]
    # A Region without Security Hub: recorded for its findings, and nothing else changes.
    published = results(lake, DAY, "select account_id, status from night.publication group by all")
    assert {(row["account_id"], row["status"]) for row in published} == {(ALPHA, "sent"), (GAMMA, "not_enabled")}

    aws._faults.clear()
    before = aws.calls.copy()
    scan(settings, lake, DAY)
    again = aws.calls - before
    asked = {account for account, _, service, _ in again if service == "ecs"}
    assert asked == {BETA}, "only what was not seen is asked for again"
    assert coverage(lake, DAY, BETA, "service")["rows"] == 11
    found = severities(lake, DAY)
    assert {name for name in found if name.startswith(BETA)} == {
        name.replace(ALPHA, BETA) for name in found if name.startswith(ALPHA)
    }
    hub = [finding["Id"] for finding in aws.securityhub.findings()]
    assert len(hub) == len(set(hub)) > 0


def test_a_malformed_policy_document_makes_that_roles_impact_unknown_and_blinds_nothing(
    aws: EmbeddedAws, settings: Settings, lake: Lake
) -> None:
    iam_backends[ALPHA]["aws"].get_role("worker").put_policy("broken", '{"Statement": [{"Effect": "Allow", "Acti')
    scan(settings, lake, DAY)
    row = coverage(lake, DAY, ALPHA, "role_statement", "global")
    assert row["status"] == "ok"
    assert "worker" in row["message"]
    assert "broken" in row["message"]
    impacts = results(lake, DAY, "select account_id, impact, is_minimum from night.exposure where service_name = 'web'")
    assert {row["account_id"]: (row["impact"], row["is_minimum"]) for row in impacts}[ALPHA] == ("Unknown", True)
    assert {row["account_id"]: row["impact"] for row in impacts}[BETA] == "Low"


def test_a_role_that_is_named_but_missing_makes_impact_unknown_and_quarantines_nothing(
    aws: EmbeddedAws, settings: Settings, lake: Lake
) -> None:
    iam = aws.client("iam", ALPHA, REGION)
    for policy in iam.list_attached_role_policies(RoleName="worker")["AttachedPolicies"]:
        iam.detach_role_policy(RoleName="worker", PolicyArn=policy["PolicyArn"])
    for name in iam.list_role_policies(RoleName="worker")["PolicyNames"]:
        iam.delete_role_policy(RoleName="worker", PolicyName=name)
    iam.delete_role(RoleName="worker")
    summary = scan(settings, lake, DAY)
    assert summary.gate.quarantined == 0
    rows = results(
        lake, DAY, f"select impact from night.exposure where service_name = 'web' and account_id = '{ALPHA}'"
    )
    assert rows == [{"impact": "Unknown"}]


def test_a_collector_that_yields_a_wrong_type_is_quarantined_and_the_scan_goes_on(
    aws: EmbeddedAws, settings: Settings, lake: Lake, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    wrong = Collector(name="wrong", service="elbv2", datasets=("target_group",), scope="region", collect=_wrong_port)
    kept = tuple(item for item in collectors.COLLECTORS if "target_group" not in item.datasets)
    lost = [item for item in collectors.COLLECTORS if "target_group" in item.datasets]
    assert [item.datasets for item in lost] == [("target_group",)]
    monkeypatch.setattr(collectors, "COLLECTORS", (*kept, wrong))
    scan(settings, lake, DAY)
    row = coverage(lake, DAY, BETA, "target_group")
    assert (row["status"], row["file"]) == ("invalid", None)
    assert "target_group.port" in row["message"]
    assert "hunter2" not in row["message"]
    assert coverage(lake, DAY, ALPHA, "target_group")["status"] == "ok"
    assert coverage(lake, DAY, BETA, "service")["status"] == "ok"
    quarantined = list((tmp_path / "lake" / "quarantine" / "target_group").rglob("*.parquet"))
    assert len(quarantined) == 1
    assert b"hunter2" not in quarantined[0].read_bytes()


def _wrong_port(context: Context) -> Iterator[tuple[str, dict[str, Any]]]:
    port = "hunter2" if context.target.account_id == BETA else 80
    yield "target_group", context.row(target_group_arn="arn:tg", port=port, load_balancer_arns=[])


def test_rows_that_break_the_suite_are_quarantined_for_their_target_only(
    aws: EmbeddedAws, settings: Settings, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    def twice(context: Context) -> Iterator[tuple[str, dict[str, Any]]]:
        for _ in range(2 if context.target.account_id == BETA else 1):
            yield "target_group", context.row(target_group_arn="arn:tg", port=80, load_balancer_arns=[])

    doubled = Collector(name="doubled", service="elbv2", datasets=("target_group",), scope="region", collect=twice)
    kept = tuple(item for item in collectors.COLLECTORS if "target_group" not in item.datasets)
    monkeypatch.setattr(collectors, "COLLECTORS", (*kept, doubled))
    scan(settings, lake, DAY)
    row = coverage(lake, DAY, BETA, "target_group")
    assert row["status"] == "invalid"
    assert "unique" in row["message"]
    assert coverage(lake, DAY, ALPHA, "target_group")["status"] == "ok"


def test_the_organisation_that_cannot_be_listed_says_which_role_to_mend(
    aws: EmbeddedAws, settings: Settings, lake: Lake
) -> None:
    aws.fault(service="organizations", operation="ListAccounts", code="AccessDeniedException", message="no")
    with pytest.raises(DiscoveryError, match=r"cannot be listed from account 111111111111: .*deploy/"):
        scan(settings, lake, DAY)


def test_no_accounts_to_scan_is_a_clear_error(aws: EmbeddedAws, lake: Lake) -> None:
    everyone = ("111111111111", ALPHA, BETA, GAMMA, DELTA)
    with pytest.raises(GateError, match=r"nothing was seen|no targets"):
        scan(load(lake=lake.location, exclude_accounts=everyone), lake, DAY)


def test_an_included_account_that_does_not_exist_is_named(aws: EmbeddedAws, lake: Lake) -> None:
    with pytest.raises(DiscoveryError, match="999999999999"):
        scan(load(lake=lake.location, include_accounts=("999999999999",)), lake, DAY)


def test_accounts_without_services_give_an_empty_day_and_no_error(aws: EmbeddedAws, lake: Lake) -> None:
    summary = scan(load(lake=lake.location, include_accounts=("111111111111",)), lake, DAY)
    assert summary.assessment.exposures == {}
    assert summary.published == {}
    assert results(lake, DAY, "select count(*) as n from night.exposure") == [{"n": 0}]
    assert coverage(lake, DAY, "111111111111", "service")["rows"] == 0


def test_a_past_day_is_never_collected_again(aws: EmbeddedAws, lake: Lake) -> None:
    settings = load(lake=lake.location, include_accounts=("111111111111",))
    scan(settings, lake, DAY)
    with pytest.raises(ScanError, match="reassess"):
        scan(settings, lake, DAY - timedelta(days=1))


def test_two_scans_at_once_are_refused(aws: EmbeddedAws, settings: Settings, lake: Lake) -> None:
    with lake.lock(), Lake.open(lake.location) as other, pytest.raises(LakeError, match="another scan"):
        scan(settings, other, DAY)
    assert lake.snapshot_days() == []


def test_nothing_sent_although_there_was_something_to_send_is_an_error(
    aws: EmbeddedAws, settings: Settings, lake: Lake
) -> None:
    aws.fault(
        service="securityhub", operation="BatchImportFindings", code="AccessDeniedException", status=403, message="no"
    )
    with pytest.raises(PublishError, match="none was sent"):
        scan(settings, lake, DAY)
    assert {row["status"] for row in results(lake, DAY, "select status from night.publication")} == {"denied"}
    aws._faults.clear()
    scan(settings, lake, DAY)
    sent = results(lake, DAY, "select count(*) as n from night.publication where status = 'sent'")
    assert sent[0]["n"] == len(aws.securityhub.findings()) > 0


def test_a_registry_outside_the_organisation_is_unknown_and_not_called(
    aws: EmbeddedAws, settings: Settings, lake: Lake
) -> None:
    ecs = aws.client("ecs", ALPHA, REGION)
    ecs.register_task_definition(
        family="foreign",
        containerDefinitions=[
            {"name": "main", "image": f"999999999999.dkr.ecr.{REGION}.amazonaws.com/theirs:1", "memory": 128}
        ],
    )
    ecs.create_service(cluster="main", serviceName="foreign", taskDefinition="foreign", desiredCount=0)
    scan(settings, lake, DAY)
    row = coverage(lake, DAY, "999999999999", "image_finding")
    assert row["status"] == "excluded"
    assert "not in the scanned organisation" in row["message"]
    assert not [call for call in aws.calls if call[0] == "999999999999"]


def test_an_expired_base_credential_is_told_as_such(
    settings: Settings, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises((DiscoveryError, ClientError), match="credential"):
        scan(settings, lake, DAY)
