"""The organisation from night to night, each in a server of its own; and data that cannot be played."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from embedded_aws import EmbeddedAws
from embedded_aws.yaml_files import OrganizationError

from tests.embedded_aws.test_sample_organization import EXPECTED, SAMPLE, assume, services


def running(service: dict[str, Any]) -> str:
    """What identifies what a service runs: its newest deployment, or task set."""
    newest: str = (service["deployments"] or service["taskSets"])[0]["id"]
    return newest


def snapshot(aws: EmbeddedAws) -> tuple[dict[str, Any], dict[str, Any]]:
    return aws.ecs.dump(), aws.inspector2.dump()


def test_a_server_led_through_the_nights_and_fresh_ones_agree() -> None:
    with EmbeddedAws(SAMPLE) as aws:
        first, second = through_three_nights(aws)
    with EmbeddedAws(SAMPLE, night=2) as aws:
        assert snapshot(aws) == second
    with EmbeddedAws(SAMPLE) as aws:
        assert snapshot(aws) == first


def through_three_nights(aws: EmbeddedAws) -> tuple[Any, Any]:
    before, first = services(aws), snapshot(aws)
    arns = {key: running(service) for key, service in before.items()}
    assume(aws, "555555555555")
    aws.advance_to(2)
    after, second = services(aws), snapshot(aws)
    aws.advance_to(3)
    third = snapshot(aws)

    gone = {key for key, value in EXPECTED["night_2"].items() if value is None}
    assert set(before) - set(after) == gone
    assert set(after) - set(before) == set(EXPECTED["night_2"]) - set(EXPECTED["services"])
    deployed = {key for key in before.keys() & after.keys() if arns[key] != running(after[key])}
    assert deployed == {
        "storefront/eu-west-1/shop/gift-cards",
        "storefront/eu-west-1/shop/reviews-api",
        "storefront/eu-west-1/workers/docker-janitor",
        "storefront/us-east-1/shop-us/price-feed",
    }
    assert after["platform/eu-west-1/tools/ci-dashboard"]["runningCount"] == 0
    rolling = after["storefront/eu-west-1/shop/reviews-api"]["deployments"]
    assert [(one["status"], one["taskDefinition"].rpartition(":")[2], one["runningCount"]) for one in rolling] == [
        ("PRIMARY", "2", 2),
        ("ACTIVE", "1", 1),
    ]
    with pytest.raises(ClientError):
        assume(aws, "555555555555")

    assert third[0] == second[0], "the third night changes nothing in ECS"
    assert third[1] != second[1]
    assert steady(third[1]) == steady(second[1]), "and in Inspector only EPSS values and dates"

    with pytest.raises(ValueError, match="later night"):
        aws.advance_to(2)
    return first, second


def steady(inspector: dict[str, Any]) -> Any:
    """Inspector's state without what drifts."""
    drifting = {"epss", "epssScore", "lastObservedAt", "updatedAt", "lastScannedAt", "lastInUseAt"}

    def without(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: without(item) for key, item in value.items() if key not in drifting}
        return [without(item) for item in value] if isinstance(value, list) else value

    return without(inspector)


@pytest.mark.parametrize("file, old, new, message", [
    ("accounts/security.yaml", "image:", "imgae:", "imgae"),
    ("accounts/security.yaml", "siem-forwarder:2.0", "siem-forwarder:9.9", "has no @security/siem-forwarder:9.9"),
    ("accounts/security.yaml", "role: siem-forwarder", "groups: [nowhere]", "no group 'nowhere'"),
    ("organization.yaml", "  - Workloads\n", "", "before its parent"),
    ("images.yaml", '"4": [CVE-2025-6297]', '"4": [CVE-1999-0001]', "no CVE-1999-0001"),
])  # fmt: skip
def test_a_slip_in_the_data_is_named(tmp_path: Path, file: str, old: str, new: str, message: str) -> None:
    copy = tmp_path / "org"
    shutil.copytree(SAMPLE, copy)
    text = (copy / file).read_text(encoding="utf-8")
    assert old in text
    (copy / file).write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(OrganizationError, match=message), EmbeddedAws(copy):
        pass
