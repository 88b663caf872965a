"""What a role may really do: service control policies at every level, conditions, boundaries, and hostile documents."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from ecs_exposure.collectors.iam import statements, trust_statements

from tests.sql_harness import ACCOUNT, build_up_to, day_of, records

ROLE = f"arn:aws:iam::{ACCOUNT}:role/app"
EVERYTHING = {"Effect": "Allow", "Action": "*", "Resource": "*"}
FULL = "p-FullAWSAccess"

Document = dict[str, Any] | list[Any] | str


def rows_of(document: object) -> list[dict[str, Any]]:
    """A document's statements as the collector reads them; a bare list is its Statement."""
    read = statements({"Statement": document} if isinstance(document, list) else document)
    return [
        {name: value for name, value in row.items() if name != "malformed"} | {"statement_index": index}
        for index, row in enumerate(read)
    ]


def decided(
    policy: object,
    *,
    boundary: object = None,
    levels: Sequence[Sequence[str]] = (),
    controls: dict[str, object] | None = None,
    is_management: bool = False,
    unseen: dict[str, str] | None = None,
    others: Sequence[tuple[str, object, object]] = (),
) -> dict[str, Any]:
    """Permission and paths (method → named resources) of one role: its policy, its boundary, and the service control
    policies attached from the root down. `others` are further roles: ARN, policy, trust policy.
    """
    snapshot: dict[str, list[dict[str, Any]]] = {
        "account": [{"account_id": ACCOUNT, "status": "ACTIVE", "is_management": is_management, "ou_path": "/"}],
        "role": [{"role_arn": ROLE}],
        "role_statement": [],
        "role_trust": [],
        "service_control_statement": [],
        "service_control_level": [
            {"bound_account_id": ACCOUNT, "level": level, "target_id": str(level), "policy_ids": sorted(policies)}
            for level, policies in enumerate(levels)
        ],
    }
    for row in rows_of(policy):
        snapshot["role_statement"].append({"role_arn": ROLE, "policy_kind": "inline", "policy_name": "own", **row})
    for row in rows_of(boundary) if boundary is not None else ():
        snapshot["role_statement"].append({"role_arn": ROLE, "policy_kind": "boundary", "policy_name": "b", **row})
    for name, document in {FULL: [EVERYTHING], **(controls or {})}.items():
        for row in rows_of(document):
            snapshot["service_control_statement"].append({"policy_id": name, "policy_name": name, **row})
    for arn, document, trust in others:
        snapshot["role"].append({"role_arn": arn})
        for row in rows_of(document):
            snapshot["role_statement"].append({"role_arn": arn, "policy_name": "other", **row})
        for index, row in enumerate(trust_statements(trust)):
            snapshot["role_trust"].append({"role_arn": arn, "statement_index": index, **row})
    with day_of(snapshot, unseen=unseen) as connection:
        build_up_to(connection, "resources.role_permission")
        (permission,) = records(connection, f"from resources.role_permission where role_arn = '{ROLE}'")
        paths = records(connection, f"from resources.role_path where role_arn = '{ROLE}'")
    return permission | {"paths": {row["method"]: row["targets"] for row in paths}}


# --- service control policies ---


def but(*roles: str) -> dict[str, Any]:
    return {"Condition": {"ArnNotLike": {"aws:PrincipalArn": list(roles)}}}


DENY_IAM = [{"Effect": "Deny", "Action": "iam:*", "Resource": "*"}]


@pytest.mark.parametrize(
    ("levels", "controls", "is_administrator"),
    [
        ([[FULL], [FULL], [FULL]], {}, True),
        # Any level may deny.
        ([[FULL, "p-x"], [FULL], [FULL]], {"p-x": DENY_IAM}, False),
        ([[FULL], [FULL, "p-x"], [FULL]], {"p-x": DENY_IAM}, False),
        ([[FULL], [FULL], [FULL, "p-x"]], {"p-x": DENY_IAM}, False),
        # Every level must allow, some policy of it.
        ([[FULL], ["p-x"], [FULL]], {"p-x": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}, False),
        ([[FULL], ["p-x", FULL], [FULL]], {"p-x": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}, True),
        ([[FULL], ["p-x"], []], {"p-x": [{"Effect": "Allow", "NotAction": "account:*", "Resource": "*"}]}, True),
        # A token Deny, a Deny that depends on the request, a Deny of some roles, of another unit: nothing changes.
        ([[FULL, "p-x"]], {"p-x": [{"Effect": "Deny", "Action": "iam:CreatePolicyVersion", "Resource": "*"}]}, True),
        (
            [[FULL, "p-x"]],
            {"p-x": [{**DENY_IAM[0], "Condition": {"StringNotEquals": {"aws:RequestedRegion": "eu-west-1"}}}]},
            True,
        ),
        ([[FULL, "p-x"]], {"p-x": [{**DENY_IAM[0], "Resource": "arn:aws:iam::*:role/audit"}]}, True),
        ([[FULL], [FULL]], {"p-x": DENY_IAM}, True),
        # A Deny for all roles but some: this one is not among them, or is.
        ([[FULL, "p-x"]], {"p-x": [DENY_IAM[0] | but("arn:aws:iam::*:role/break-glass")]}, False),
        ([[FULL, "p-x"]], {"p-x": [DENY_IAM[0] | but("arn:aws:iam::*:role/break-glass", "*:role/App")]}, True),
        ([[FULL, "p-x"]], {"p-x": [DENY_IAM[0] | {"Condition": {"ArnLike": {"aws:PrincipalArn": ROLE}}}]}, False),
        ([[FULL, "p-x"]], {"p-x": [DENY_IAM[0] | {"Condition": {"ArnLike": {"aws:PrincipalArn": "*:user/*"}}}]}, True),
        # What cannot be read restricts nothing.
        ([[FULL], ["p-x"]], {"p-x": "{not JSON"}, True),
        ([[FULL], ["p-unknown"]], {}, True),
        ([[FULL], []], {}, True),
    ],
)  # fmt: skip
def test_every_level_must_allow_and_none_deny(
    levels: list[list[str]], controls: dict[str, object], is_administrator: bool
) -> None:
    found = decided([EVERYTHING], levels=levels, controls=controls)
    assert found["is_administrator"] == is_administrator
    assert found["service_control_policies"] == "taken into account"


def test_the_management_account_is_bound_by_none() -> None:
    found = decided([EVERYTHING], levels=[[FULL, "p-x"]], controls={"p-x": DENY_IAM}, is_management=True)
    assert found["is_administrator"] and found["service_control_policies"] == "never bind the management account"


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ("denied", "not seen: this is before service control policies"),
        ("failed", "not seen: this is before service control policies"),
        ("not_enabled", "not in use in the organisation"),
    ],
)
def test_what_could_not_be_read_of_them_is_said(status: str, said: str) -> None:
    found = decided([EVERYTHING], unseen={"service_control_level": status})
    assert found["is_administrator"] and found["service_control_policies"] == said


def test_a_path_is_cut_where_one_of_its_actions_is() -> None:
    policy = [{"Effect": "Allow", "Action": ["iam:PassRole", "ec2:RunInstances", "ssm:StartSession"], "Resource": "*"}]
    cut = decided(
        policy,
        levels=[[FULL, "p-x"]],
        controls={"p-x": [{"Effect": "Deny", "Action": "EC2:Run*", "Resource": "arn:aws:ec2:*:*:instance/*"}]},
    )
    assert set(cut["paths"]) == {"StartSessionOnInstance"} and not cut["is_effective_administrator"]
    assert decided(policy)["is_effective_administrator"]


# --- conditions ---


_CERTAINLY_NOT = {"StringNotLike": {"aws:PrincipalArn": "*"}}
CONDITIONS: list[tuple[object, bool, bool]] = [
    (None, True, True),
    ({}, True, True),
    ({"StringEquals": {}}, True, True),
    ({"ArnLike": {"aws:PrincipalArn": ["arn:x", "*"]}}, True, True),
    ({"StringLikeIfExists": {"aws:RequestTag/team": "*"}}, True, True),
    ({"StringEquals": {"aws:ResourceAccount": ACCOUNT}}, True, True),
    ({"StringEquals": {"aws:ResourceAccount": "${aws:PrincipalAccount}"}}, True, True),
    ({"stringequals": {"AWS:PrincipalAccount": [ACCOUNT, "222222222222"]}}, True, True),
    # Whoever calls may speak TLS, or not.
    ({"Bool": {"aws:SecureTransport": True}}, True, False),
    ({"IpAddress": {"aws:SourceIp": ["10.0.0.0/8", "0.0.0.0/0"]}}, True, False),
    # A task never has multi-factor authentication.
    ({"BoolIfExists": {"aws:MultiFactorAuthPresent": "false"}}, True, True),
    # Otherwise the request decides.
    ({"Bool": {"aws:MultiFactorAuthPresent": "true"}}, False, False),
    ({"StringLike": {"aws:RequestTag/team": "*"}}, False, False),
    ({"StringEquals": {"aws:ResourceAccount": "222222222222"}}, False, False),
    ({"StringEquals": {"aws:PrincipalAccount": ACCOUNT, "aws:RequestedRegion": "eu-west-1"}}, False, False),
    # Which role asks is known.
    ({"ArnNotEquals": {"aws:PrincipalArn": "arn:aws:iam::*:role/break-glass"}}, True, True),
    ({"StringLike": {"aws:PrincipalArn": ["x", f"arn:aws:iam::{ACCOUNT}:role/*"]}}, True, True),
    (_CERTAINLY_NOT, False, False),
    ("nonsense", False, False),
    (["x"], False, False),
    ({"StringEquals": "x"}, False, False),
    ({"StringLike": {"aws:PrincipalArn": {"a": "*"}}}, False, False),
    ({"StringLike": {"aws:PrincipalArn": None}}, False, False),
    ({"StringNotLike": {"aws:PrincipalArn": []}}, False, False),
    ({"StringNotLike": {"aws:PrincipalArn": ["arn:x", 7, {}]}}, False, False),
    ({'a"b/c~d': {'e"f/g~h': ["'"]}}, False, False),
    ({"NumericEquals": {"x": float("nan")}}, False, False),
    ({"StringEquals": {"x": "\ud800", "\ud800": "\x00"}}, False, False),
    ({"StringEquals": {"": ""}, "": {}}, False, False),
]
"""A condition; does an Allow of everything under it make administrator; does a Deny of everything take that away."""


def test_a_condition_is_kept_and_only_counts_when_it_must_hold() -> None:
    snapshot: dict[str, list[dict[str, Any]]] = {"role": [], "role_statement": []}
    for number, (condition, _, _) in enumerate(CONDITIONS):
        conditional = {} if condition is None else {"Condition": condition}
        denied = {"Effect": "Deny", "Action": "*", "Resource": "*"} | conditional
        for kind, policy in (("allowed", [EVERYTHING | conditional]), ("denied", [EVERYTHING, denied])):
            arn = f"arn:aws:iam::{ACCOUNT}:role/{kind}-{number}"
            snapshot["role"].append({"role_arn": arn})
            snapshot["role_statement"] += [{"role_arn": arn, "policy_name": "own", **row} for row in rows_of(policy)]
    with day_of(snapshot) as connection:
        build_up_to(connection, "resources.role_permission")
        found = {
            row["role_arn"].rpartition("/")[2]: (row["is_administrator"], row["conditional_policies"])
            for row in records(connection, "from resources.role_permission")
        }
    for number, (condition, proves, denies) in enumerate(CONDITIONS):
        conditional_policies = [] if proves or condition is _CERTAINLY_NOT else ["own"]
        assert found[f"allowed-{number}"] == (proves, conditional_policies), condition
        assert found[f"denied-{number}"] == (not denies, []), condition


@pytest.mark.parametrize(
    ("condition", "is_path"),
    [
        ({"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}}, True),
        ({"StringLike": {"iam:PassedToService": ["ecs-tasks.*", "ec2.*"]}}, True),
        ({"StringNotEquals": {"iam:PassedToService": "lambda.amazonaws.com"}}, True),
        ({"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com", "aws:ResourceAccount": ACCOUNT}}, True),
        ({"StringEquals": {"iam:PassedToService": "lambda.amazonaws.com"}}, False),
        ({"StringNotEquals": {"iam:PassedToService": ["ec2.amazonaws.com", "lambda.amazonaws.com"]}}, False),
        ({"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com", "aws:RequestedRegion": "eu-west-1"}}, False),
        ({"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com", "iam:AssociatedResourceArn": "x"}}, False),
    ],
)
def test_a_condition_on_the_service_a_role_is_handed_to_is_decided(condition: object, is_path: bool) -> None:
    passing = {"Effect": "Allow", "Action": "iam:PassRole", "Resource": "*", "Condition": condition}
    found = decided([passing, {"Effect": "Allow", "Action": "ec2:RunInstances", "Resource": "*"}])
    assert ("CreateEC2WithExistingIP" in found["paths"]) == is_path
    # Other actions hand over no role: without the key a condition fails, unless it is negated.
    other = decided([{**passing, "Action": ["iam:PassRole", "iam:PutRolePolicy"]}])
    assert other["is_effective_administrator"] == ("StringNotEquals" in str(condition))


@pytest.mark.parametrize(("service", "is_path"), [("ec2.amazonaws.com", True), ("lambda.amazonaws.com", False)])
def test_a_boundary_and_a_level_let_through_what_their_conditions_can(service: str, is_path: bool) -> None:
    policy = [{"Effect": "Allow", "Action": ["iam:PassRole", "ec2:RunInstances"], "Resource": "*"}]
    passing = {"StringEquals": {"iam:PassedToService": service}}
    limit = [
        {"Effect": "Allow", "Action": "iam:PassRole", "Resource": "*", "Condition": passing},
        {"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"},
    ]
    for found in (
        decided(policy, boundary=limit),
        decided(policy, levels=[[FULL], ["p-x"]], controls={"p-x": limit}),
    ):
        assert ("CreateEC2WithExistingIP" in found["paths"]) == is_path


# --- what hides an administrator, and what does not ---


@pytest.mark.parametrize(
    ("policy", "boundary", "is_administrator"),
    [
        # A stack of harmless Denies, and one that denies every way but one.
        ([EVERYTHING, *({"Effect": "Deny", "Action": f"s3:Get{n}", "Resource": "*"} for n in range(1000))], None, True),
        ([EVERYTHING, {"Effect": "Deny", "NotAction": "iam:SetDefaultPolicy*", "Resource": "*"}], None, True),
        ([EVERYTHING, {"Effect": "Deny", "NotAction": ["s3:*", "ecs:*"], "Resource": "*"}], None, False),
        ([EVERYTHING, {"Effect": "Deny", "Action": "iam:*", "NotResource": "arn:aws:iam::*:policy/*"}], None, True),
        ([{"Effect": "Allow", "NotAction": "iam:PutRolePolicy", "Resource": "*"}], None, True),
        ([{"Effect": "Allow", "NotAction": ["iam:*"], "Resource": "*"}], None, False),
        ([{"Effect": "Allow", "Action": "i?m:*", "Resource": "*"}], None, True),
        ([{"Effect": "Allow", "Action": ["i*", "[a-z]*"], "Resource": "arn:aws:i*"}], None, True),
        ([{"Effect": "Allow", "Action": "[a-z]*", "Resource": "*"}], None, False),
        ([{"Effect": "Allow", "Action": "iam:*", "Resource": f"arn:aws:iam::{ACCOUNT}:*"}], None, True),
        ([{"Effect": "Allow", "Action": "iam:*", "Resource": "arn:aws:iam::222222222222:*"}], None, False),
        ([{"Effect": "Allow", "Action": "*", "Resource": ["arn:aws:*::????????????:*"]}], None, True),
        ([{"Effect": "Allow", "Action": "*", "Resource": "arn:aws:*:*:*:*"}], None, True),
        ([{"Effect": "Allow", "Action": "*", "Resource": ["*/*"]}], None, True),
        ([{"Effect": "Allow", "Action": "*", "Resource": "arn:aws:s3:::*"}], None, False),
        ([EVERYTHING], [{"Effect": "Allow", "NotAction": "organizations:*", "Resource": "*"}], True),
        ([EVERYTHING], [EVERYTHING, {"Effect": "Deny", "Action": "iam:Put*", "Resource": "*"}], True),
        ([EVERYTHING], [EVERYTHING, {"Effect": "Deny", "Action": "iam:*", "Resource": "*"}], False),
        ([EVERYTHING], [{"Effect": "Allow", "Action": ["s3:*", "iam:Get*"], "Resource": "*"}], False),
        ([EVERYTHING], [EVERYTHING | {"Condition": {"Bool": {"aws:ViaAWSService": "true"}}}], True),
    ],
)  # fmt: skip
def test_where_administration_ends(policy: list[Any], boundary: list[Any] | None, is_administrator: bool) -> None:
    assert decided(policy, boundary=boundary)["is_administrator"] == is_administrator


def test_a_megabyte_of_policy_and_of_trust_is_read_and_decided() -> None:
    stars = {"Effect": "Allow", "Action": ["*a" * 500, "s3:" + "?*" * 200], "Resource": ["*b" * 500, "*"]}
    padding = [
        {"Effect": "Deny", "Action": f"s3:Get{n}", "Resource": f"arn:aws:s3:::{'x' * 990}{n}"} for n in range(1000)
    ]
    document = json.dumps(
        {"Statement": [*padding, stars, {"Effect": "Allow", "Action": "iam:PassRole", "Resource": "*"}]}
    )
    trust = {
        "Statement": [
            {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": [ROLE] + ["x" * 99] * 10_000}}
        ]
    }
    assert len(document) > 1_000_000 and len(json.dumps(trust)) > 1_000_000
    admin = f"arn:aws:iam::{ACCOUNT}:role/admin"
    assume = {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": admin}
    found = decided(document[:-2] + ", " + json.dumps(assume) + "]}", others=[(admin, [EVERYTHING], trust)])
    assert found["is_readable"] and found["paths"]["AssumeAnyRole"] == [admin]
    assert found["is_effective_administrator"] and not found["is_administrator"]


def test_a_long_circle_of_roles_ends() -> None:
    names = [f"arn:aws:iam::{ACCOUNT}:role/r{number}" for number in range(60)]
    ring = [
        (
            arn,
            [{"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": names[(number + 1) % len(names)]}],
            {"Statement": {"Effect": "Allow", "Action": "sts:*", "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}}},
        )
        for number, arn in enumerate(names)
    ]
    own = [{"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": names[0]}]
    assert decided(own, others=ring)["paths"] == {}
    admin = (f"arn:aws:iam::{ACCOUNT}:role/z", [EVERYTHING], ring[0][2])
    to_admin = [*ring[-1][1], {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": admin[0]}]
    ring[-1] = (ring[-1][0], to_admin, ring[-1][2])
    assert decided(own, others=[*ring, admin])["paths"] == {"AssumeAnyRole": [names[0]]}


def test_a_trust_policy_nobody_could_read_may_trust_any_service() -> None:
    admin = f"arn:aws:iam::{ACCOUNT}:role/admin"
    policy = [
        {"Effect": "Allow", "Action": ["iam:PassRole", "ec2:RunInstances"], "Resource": [admin, "arn:aws:ec2:*:*:*"]}
    ]
    assert decided(policy, others=[(admin, [EVERYTHING], "{not JSON")])["paths"]["CreateEC2WithExistingIP"] == [admin]
