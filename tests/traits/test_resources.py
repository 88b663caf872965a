"""The resource models of networks and roles: given snapshot rows → rows."""

from __future__ import annotations

from typing import Any

import pytest

from tests.sql_harness import model_rows


def test_a_subnet_follows_its_own_route_table_else_the_main_one() -> None:
    routes = [
        {"route_table_id": "rtb-main", "vpc_id": "vpc", "is_main": True, "destination": "0.0.0.0/0", "target": "igw-1"},
        {"route_table_id": "rtb-main", "vpc_id": "vpc", "is_main": True, "destination": "::/0", "target": "igw-1"},
        {
            "route_table_id": "rtb-nat",
            "vpc_id": "vpc",
            "subnet_ids": ["private"],
            "destination": "0.0.0.0/0",
            "target": "nat-1",
        },
        {
            "route_table_id": "rtb-gone",
            "vpc_id": "vpc",
            "subnet_ids": ["detached"],
            "destination": "0.0.0.0/0",
            "target": "igw-2",
            "state": "blackhole",
        },
        {
            "route_table_id": "rtb-far",
            "vpc_id": "vpc",
            "subnet_ids": ["partner"],
            "destination": "198.51.100.0/24",
            "target": "igw-1",
        },
    ]
    subnets = [
        {"subnet_id": name, "vpc_id": "vpc", "internet_gateway_block_mode": mode}
        for name, mode in [
            ("implicit", "off"),
            ("private", None),
            ("detached", None),
            ("partner", None),
            ("blocked", "block-bidirectional"),
            ("inbound", "block-ingress"),
        ]
    ]
    subnets.append({"subnet_id": "elsewhere", "vpc_id": "vpc-2"})
    rows = model_rows("resources.subnet_way", {"route": routes, "subnet": subnets})
    assert {(row["subnet_id"], row["way"], row["target"] if row["way"] == "gateway" else None) for row in rows} == {
        ("implicit", "gateway", "igw-1"),
        ("private", "none", None),
        ("detached", "none", None),
        ("partner", "none", None),
        ("blocked", "blocked", None),
        ("inbound", "blocked", None),
        ("elsewhere", "unseen", None),
    }


def test_an_attachment_is_one_row_however_many_tasks() -> None:
    rows = model_rows(
        "resources.service_attachment",
        {
            "service": [{"resource_id": "svc-a", "subnet_ids": ["s-1"], "security_group_ids": ["sg-1"]}],
            "task_definition": [{"task_definition_arn": "td:1", "network_mode": "awsvpc"}],
            "task": [
                {
                    "resource_id": "svc-a",
                    "task_arn": name,
                    "task_definition_arn": "td:1",
                    "network_interface_ids": [f"eni-{name}"],
                }
                for name in "abc"
            ],
            "network_interface": [
                {"network_interface_id": "eni-a", "subnet_id": "s-1", "security_group_ids": ["sg-2", "sg-1"]},
                {
                    "network_interface_id": "eni-b",
                    "subnet_id": "s-1",
                    "security_group_ids": ["sg-1", "sg-2"],
                    "public_ip": "198.51.100.1",
                },
                {"network_interface_id": "eni-c", "subnet_id": "s-2", "security_group_ids": ["sg-1", "sg-2"]},
            ],
        },
        "kind, subnet_id, security_group_ids, has_public_ipv4",
    )
    assert rows == [
        {"kind": "task", "subnet_id": "s-1", "security_group_ids": ["sg-1", "sg-2"], "has_public_ipv4": True},
        {"kind": "task", "subnet_id": "s-2", "security_group_ids": ["sg-1", "sg-2"], "has_public_ipv4": False},
    ]


def test_settings_stand_where_no_interface_was_seen_with_each_vpcs_default_group() -> None:
    rows = model_rows(
        "resources.service_attachment",
        {
            "service": [{"resource_id": "svc-a", "subnet_ids": ["s-1", "s-2"], "assign_public_ip": True}],
            "deployment": [
                {
                    "resource_id": "svc-a",
                    "deployment_id": "d",
                    "task_definition_arn": "td:1",
                    "status": "ACTIVE",
                    "subnet_ids": ["s-3"],
                    "security_group_ids": ["sg-9"],
                }
            ],
            "subnet": [{"subnet_id": "s-1", "vpc_id": "vpc-1"}, {"subnet_id": "s-2", "vpc_id": "vpc-2"}],
            "security_group": [{"group_id": "sg-1", "group_name": "default", "vpc_id": "vpc-1"}],
        },
        "kind, subnet_id, security_group_ids, has_public_ipv4",
    )
    assert [tuple(row.values()) for row in rows] == [
        ("settings", "s-1", ["sg-1"], True),
        ("settings", "s-2", [], True),
        ("settings", "s-3", ["sg-9"], False),
    ]


def statement(
    role: str,
    effect: str,
    *actions: str,
    resources: tuple[str, ...] = ("*",),
    kind: str = "inline",
    index: int = 0,
    condition: str | None = None,
) -> dict[str, Any]:
    return {
        "role_arn": role,
        "policy_kind": kind,
        "policy_name": "p",
        "statement_index": index,
        "effect": effect,
        "actions": list(actions),
        "resources": list(resources),
        "condition": condition,
    }


def test_permissions_on_everything_are_told_as_services() -> None:
    roles = ["whole", "objects", "one-bucket", "denied", "bounded", "conditional"]
    rows = model_rows(
        "resources.role_permission",
        {
            "role": [{"role_arn": role} for role in roles],
            "role_statement": [
                statement("whole", "Allow", "s3:*", "sqs:Send*"),
                statement(
                    "objects",
                    "Allow",
                    "S3:Get?bject",
                    "dynamodb:Scan",
                    resources=("arn:aws:s3:::*/*", "arn:aws:dynamodb:*:*:table/*"),
                ),
                statement("one-bucket", "Allow", "s3:*", resources=("arn:aws:s3:::logs/*",)),
                statement("denied", "Allow", "s3:*"),
                statement("denied", "Deny", "s3:*", index=1),
                statement("bounded", "Allow", "s3:*", "dynamodb:*"),
                statement("bounded", "Allow", "dynamodb:*", kind="boundary", index=1),
                statement("conditional", "Allow", "s3:*", condition='{"Bool": {"aws:MultiFactorAuthPresent": "true"}}'),
            ],
        },
    )
    found = {row["role_arn"]: row["service_wildcards"] for row in rows}
    assert found == {
        "whole": ["s3"],
        "objects": [],
        "one-bucket": [],
        "denied": [],
        "bounded": ["dynamodb"],
        "conditional": [],
    }
    assert not any(row["is_administrator"] for row in rows)
    assert all(row["is_readable"] for row in rows)


@pytest.mark.parametrize(
    ("tokens", "endpoint", "hops", "mode", "is_reachable"),
    [
        ("optional", "enabled", 1, "awsvpc", True),
        ("required", "enabled", 1, "host", True),
        ("required", "enabled", 1, "bridge", False),
        ("required", "enabled", 2, "bridge", True),
        ("required", "enabled", 2, "awsvpc", True),
        ("optional", "disabled", 2, "host", False),
        ("optional", "enabled", 2, "none", False),
    ],
)
def test_an_instance_role_counts_where_the_instance_metadata_answers(
    tokens: str, endpoint: str, hops: int, mode: str, is_reachable: bool
) -> None:
    rows = model_rows(
        "resources.service_role",
        {
            "service": [{"resource_id": "svc-a"}],
            "task_definition": [{"task_definition_arn": "td:1", "network_mode": mode}],
            "task": [
                {"resource_id": "svc-a", "task_arn": "t", "task_definition_arn": "td:1", "container_instance_arn": "ci"}
            ],
            "container_instance": [{"container_instance_arn": "ci", "ec2_instance_id": "i-1"}],
            "instance": [
                {
                    "instance_id": "i-1",
                    "instance_profile_arn": "profile",
                    "http_tokens": tokens,
                    "http_endpoint": endpoint,
                    "http_put_response_hop_limit": hops,
                }
            ],
            "role": [{"role_arn": "instance", "instance_profile_arns": ["profile"]}],
            "role_statement": [statement("instance", "Allow", "*")],
        },
        "source, role_arn, is_administrator",
    )
    expected = [{"source": "instance_role", "role_arn": "instance", "is_administrator": True}]
    assert rows == (expected if is_reachable else [])
