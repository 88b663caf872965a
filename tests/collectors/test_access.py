"""AwsAccess against recorded answers: what it counts, forgets and keeps to itself; what errors become in coverage."""

from __future__ import annotations

import logging
import traceback
from typing import Any

import pytest
from ecs_exposure.aws import AwsAccess, Bucket
from ecs_exposure.collectors import GLOBAL_DATASETS, Target, collect_target
from ecs_exposure.schemas.snapshots import SNAPSHOTS
from ecs_exposure.settings import load
from hypothesis import given
from hypothesis import strategies as st

from tests.collectors.conftest import Play
from tests.collectors.test_recorded import ACCOUNT, DAY, ECS, REGION, recorded, settings_of

CANARY = "cAnArY-5up3r-s3cret-V4lue"


def test_release_forgets_clients_and_credentials_and_keeps_the_counts(play: Play) -> None:
    answers = recorded("ecs")
    playback = play({**answers, ("ecs", "ListClusters"): [{"clusterArns": []}, {"clusterArns": []}]})
    access = playback.access(settings_of())
    first = access.client("ecs", ACCOUNT, REGION)
    assert access.client("ecs", ACCOUNT, REGION) is first
    first.list_clusters()
    other = access.client("ecs", "222222222222", REGION)
    access.release(ACCOUNT)
    assert access.client("ecs", ACCOUNT, REGION) is not first
    assert access.client("ecs", "222222222222", REGION) is other
    access.client("ecs", ACCOUNT, REGION).list_clusters()
    assert access.calls(ACCOUNT, REGION, "ecs") == 2
    assert len(playback.asked("AssumeRole")) == 2


@pytest.mark.parametrize(("partition", "region"), [("aws-cn", "cn-north-1"), ("aws-us-gov", "us-gov-west-1")])
def test_roles_of_other_partitions_are_assumed_by_their_arn_with_the_external_id(
    play: Play, partition: str, region: str
) -> None:
    playback = play({})
    access = AwsAccess(load(partition=partition, regions=(region,), external_id="the-external-id"))
    access.assume(ACCOUNT)
    (asked,) = playback.asked("AssumeRole")
    assert asked["RoleArn"] == f"arn:{partition}:iam::{ACCOUNT}:role/ecs-exposure-read"
    assert asked["ExternalId"] == "the-external-id"
    assert access.client("iam", ACCOUNT, "global").meta.partition == partition


@pytest.mark.parametrize(
    ("code", "message", "status"),
    [
        ("AccessDenied", "not authorized with an explicit deny in a service control policy", "excluded"),
        ("AccessDenied", "because no identity-based policy allows it", "denied"),
        ("InvalidClientTokenId", "The security token included in the request is invalid.", "excluded"),
    ],
)
def test_a_refusal_is_coverage(play: Play, code: str, message: str, status: str) -> None:
    refusal = {"error": code, "message": message, "status": 403}
    first_calls = {
        "iam": "GetAccountAuthorizationDetails",
        "cloudfront": "ListVpcOrigins",
        "globalaccelerator": "ListAccelerators",
    }
    playback = play({call: [refusal] for call in first_calls.items()})
    settings = settings_of()
    result = collect_target(
        playback.access(settings), settings, Target(ACCOUNT, "global"), snapshot_date=DAY, fingerprint_key=b"k" * 32
    )
    assert {row["dataset"]: row["status"] for row in result.coverage} == dict.fromkeys(GLOBAL_DATASETS, status)
    assert result.rows == {}


@given(
    st.floats(1, 200),
    st.floats(0.5, 50),
    st.lists(st.floats(0, 5), min_size=1, max_size=80),
)
def test_a_bucket_never_lets_more_go_than_burst_and_refill_allow(
    burst: float, refill: float, gaps: list[float]
) -> None:
    bucket, now, gone = Bucket(burst, refill, 0.0), 0.0, []
    for gap in gaps:
        now += gap
        gone.append(now + bucket.reserve(now))
    assert gone == sorted(gone)
    for start in range(len(gone)):
        for end in range(start, len(gone)):
            allowed = burst + (gone[end] - gone[start]) * refill
            assert end - start + 1 <= allowed + 1 + 1e-6


def test_the_share_scales_burst_and_refill_and_a_bucket_is_one_accounts_and_regions(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ListAccounts: 12 at once, 8 a second; a quarter is 3 and 2. Clock and pause are played."""
    pauses: list[float] = []
    monkeypatch.setattr("ecs_exposure.aws.time.sleep", pauses.append)
    monkeypatch.setattr("ecs_exposure.aws.time.monotonic", lambda: 1000.0)
    play({("organizations", "ListAccounts"): [{"Accounts": []} for _ in range(6)]})
    access = AwsAccess(load(organization_account_id=ACCOUNT, regions=(REGION,), rate_share=0.25))
    client = access.client("organizations", ACCOUNT, "global")
    for _ in range(5):
        client.list_accounts()
    assert pauses == [0.5, 1.0]
    access.client("organizations", "222222222222", "global").list_accounts()
    assert pauses == [0.5, 1.0]


def definition(**container: Any) -> dict[str, Any]:
    return {
        "taskDefinitionArn": f"{ECS}:task-definition/web:1",
        "family": "web",
        "revision": 1,
        "containerDefinitions": [{"name": "web", "image": "web", **container}],
        "volumes": [
            {"name": "v", "dockerVolumeConfiguration": {"driver": "local", "driverOpts": {"password": CANARY}}}
        ],
    }


SECRETS = {
    "environment": [{"name": "DB_PASSWORD", "value": CANARY}, {"name": "PLAIN", "value": f"x {CANARY}"}],
    "command": ["run", f"--password={CANARY}"],
    "entryPoint": ["sh", "-c", f"TOKEN={CANARY} serve"],
    "healthCheck": {"command": ["CMD-SHELL", f"curl -u admin:{CANARY} localhost"]},
    "dockerLabels": {"api_key": CANARY},
    "logConfiguration": {"logDriver": "splunk", "options": {"splunk-token": CANARY}},
    "firelensConfiguration": {"type": "fluentbit", "options": {"password": CANARY}},
}


@pytest.mark.parametrize("fault", ["none", "no containers", "denied"])
def test_no_value_of_a_definition_is_in_rows_logs_or_errors(
    play: Play, caplog: pytest.LogCaptureFixture, fault: str
) -> None:
    caplog.set_level(logging.DEBUG, logger="ecs_exposure")
    answers = recorded("ecs")
    named = ["asg:1", "managed:1", "old:2", "old:3", "set:2", "spot:1", "web:1"]
    described: list[dict[str, Any]] = [
        {"taskDefinition": {**definition(**SECRETS), "taskDefinitionArn": f"{ECS}:task-definition/{name}"}}
        for name in named
    ]
    if fault == "no containers":
        del described[0]["taskDefinition"]["containerDefinitions"]
        described.insert(1, described[0])  # it is asked for once more
    if fault == "denied":
        described[3] = {"error": "AccessDeniedException", "message": "not authorized"}
    playback = play({**answers, ("ecs", "DescribeTaskDefinition"): described})
    settings = settings_of()
    rest = frozenset(SNAPSHOTS) - {"task_definition", "container", "volume", "credential"}
    result = collect_target(
        playback.access(settings), settings, Target(ACCOUNT, REGION), snapshot_date=DAY, skip=rest,
        fingerprint_key=b"k" * 32,
    )  # fmt: skip
    assert {row["status"] for row in result.coverage} == {"denied" if fault == "denied" else "ok"}
    assert bool(result.rows.get("credential")) == (fault != "denied")
    if fault == "no containers":
        (message,) = (row["message"] for row in result.coverage if row["dataset"] == "task_definition")
        assert "1 could not be read, their services' traits are unknown: asg:1: " in message
    if fault == "none":  # names are kept: the search below looks where a definition's words do end up
        assert "DB_PASSWORD" in repr(result)
    told = repr(result) + "".join(record.getMessage() + str(record.exc_text) for record in caplog.records)
    assert CANARY not in told


def test_a_row_that_does_not_fit_its_schema_is_refused_without_its_value() -> None:
    with pytest.raises(ValueError, match=r"container\.environment_count") as raised:
        SNAPSHOTS["container"].to_arrow([{"environment_count": CANARY}])
    assert CANARY not in "".join(traceback.format_exception(raised.value))
