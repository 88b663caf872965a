"""However a policy is written, the answer is the same: documents are rewritten without changing what they say."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from ecs_exposure.collectors.iam import statements
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.sql_harness import build_up_to, day_of, records

ACCOUNT_OF_ROLES = "111111111111"
Document = dict[str, Any]
Statement = dict[str, Any]

_ACTIONS = [
    "*", "iam:*", "iam:PutRolePolicy", "iam:?ut*Policy", "iam:PassRole", "ec2:RunInstances", "ecs:*Task*", "s3:*",
    "sts:AssumeRole", "s3:GetObject", "s3:*Object", "lambda:UpdateFunctionCode", "lambda:*", "cloudtrail:Stop*",
    "iam:CreateAccessKey", "sqs:SendMessage", "iam:Create*", "iam:Attach*", "iam:SetDefaultPolicyVersion",
]  # fmt: skip
_RESOURCES = [
    "*", "*", "arn:aws:iam::111111111111:role/*", "arn:aws:iam::*:role/r", "arn:aws:s3:::bucket/*", "arn:aws:s3:::*",
    "arn:aws:iam::*:*",
]  # fmt: skip
_MFA: Statement = {"Bool": {"aws:MultiFactorAuthPresent": "true"}}
_CONDITIONS = [None, None, None, _MFA, {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}}]


def _some(items: list[str]) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(items), min_size=1, max_size=4, unique=True)


@st.composite
def _statement(draw: st.DrawFn) -> Statement:
    statement: Statement = {"Effect": draw(st.sampled_from(["Allow", "Allow", "Allow", "Deny"]))}
    statement[draw(st.sampled_from(["Action", "Action", "Action", "NotAction"]))] = draw(_some(_ACTIONS))
    statement[draw(st.sampled_from(["Resource", "Resource", "Resource", "NotResource"]))] = draw(_some(_RESOURCES))
    if condition := draw(st.sampled_from(_CONDITIONS)):
        statement["Condition"] = condition
    return statement


_documents = st.lists(_statement(), min_size=1, max_size=5).map(lambda items: {"Statement": items})


def _each(change: Callable[[Statement], Statement]) -> Callable[[Document], Document]:
    return lambda document: {"Statement": [change(item) for item in document["Statement"]]}


def _texts(change: Callable[[str], str], *members: str) -> Callable[[Document], Document]:
    def changed(statement: Statement) -> Statement:
        return {
            name: [change(text) for text in value] if name in members else value for name, value in statement.items()
        }

    return _each(changed)


def _single_as_text(statement: Statement) -> Statement:
    return {
        name: value[0] if isinstance(value, list) and len(value) == 1 else value for name, value in statement.items()
    }


def _split(document: Document) -> Document:
    """One statement per action and resource; NotAction and NotResource say something else when split."""
    parts: list[Statement] = []
    for statement in document["Statement"]:
        rest = {name: value for name, value in statement.items() if name not in ("Action", "Resource")}
        parts += [
            rest | ({"Action": action} if action else {}) | ({"Resource": resource} if resource else {})
            for action in statement.get("Action", [None])
            for resource in statement.get("Resource", [None])
        ]
    return {"Statement": parts}


def _with(*extra: Statement) -> Callable[[Document], Document]:
    return lambda document: {"Statement": [*extra, *document["Statement"]]}


_BUCKETS = [
    {"Effect": "Deny", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::ledger-{number}/*"} for number in range(200)
]
_MEMBERS = ("Action", "NotAction")
_SAYS_NOTHING = {"Condition": {"StringLike": {"aws:PrincipalArn": "*"}}}
_TOUCHES_NOTHING = {"Effect": "Deny", "Action": "aws-portal:*", "Resource": "arn:aws:aws-portal:::x"}
_MAY_NOT_APPLY = {
    "Effect": "Deny",
    "Action": "*",
    "Resource": "*",
    "Condition": {"Bool": {"aws:ViaAWSService": "true"}},
}


def _object(document: Document) -> Document:
    return {"statement": document["Statement"][0]} if len(document["Statement"]) == 1 else document


_REWRITES: dict[str, Callable[[Document], Any]] = {
    "as it is": lambda document: document,
    "text for lists": _each(_single_as_text),
    "lower case": _texts(str.lower, *_MEMBERS),
    "upper case": _texts(str.upper, *_MEMBERS),
    "two stars for one": _texts(lambda text: text.replace("*", "**"), *_MEMBERS, "Resource", "NotResource"),
    "split": _split,
    "backwards": lambda document: {"Statement": _each(_reversed)(document)["Statement"][::-1]},
    "everything twice": lambda document: {"Statement": document["Statement"] * 2},
    "JSON text": json.dumps,
    "an object": _object,
    "empty conditions": _each(lambda statement: {"Condition": {}} | statement),
    "conditions that say nothing": _each(lambda statement: _SAYS_NOTHING | statement),
    "a Deny that touches nothing": _with(_TOUCHES_NOTHING),
    "a stack of Denies that touch nothing": _with(*_BUCKETS),
    "a Deny that may not apply": _with(_MAY_NOT_APPLY),
    "another member": lambda document: {"Version": "2012-10-17", "Id": "x"} | document,
}


def _reversed(statement: Statement) -> Statement:
    return {name: value[::-1] if isinstance(value, list) else value for name, value in statement.items()}


def decisions(documents: Sequence[object]) -> list[str]:
    """What is decided of a role whose one policy the document is: permissions without the statements that make them,
    and paths. Roles stand in accounts of their own.
    """
    roles, rows = [], []
    for number, document in enumerate(documents):
        account = f"{number + 1:012d}"
        arn = f"arn:aws:iam::{account}:role/r"
        roles.append({"account_id": account, "role_arn": arn})
        own = json.loads(json.dumps(document).replace(ACCOUNT_OF_ROLES, account))
        for index, statement in enumerate(statements(own)):
            statement.pop("malformed", None)
            rows.append(
                {"account_id": account, "role_arn": arn, "policy_name": "p", "statement_index": index, **statement}
            )
    with day_of({"role": roles, "role_statement": rows}) as connection:
        build_up_to(connection, "resources.role_permission")
        permissions = records(
            connection,
            "select * exclude (administrative_statements, service_statements) from resources.role_permission",
        )
        paths = records(connection, "from resources.role_path order by method")
    found: dict[str, list[Any]] = {row.pop("role_arn"): [row] for row in permissions}
    for row in paths:
        found[row.pop("role_arn")].append(row | {"targets": [arn.split(":")[5] for arn in row["targets"] or []]})
    return [json.dumps(found[role["role_arn"]], sort_keys=True) for role in roles]


@settings(max_examples=25, deadline=None)
@given(_documents)
def test_equal_documents_are_decided_alike(document: Document) -> None:
    first, *others = decisions([rewrite(document) for rewrite in _REWRITES.values()])
    assert dict(zip(list(_REWRITES)[1:], others, strict=True)) == dict.fromkeys(list(_REWRITES)[1:], first)


def test_the_rewrites_are_held_against_documents_that_differ() -> None:
    administrator = {"Statement": [{"Effect": "Allow", "Action": ["*"], "Resource": ["*"]}]}
    reader = {"Statement": [{"Effect": "Allow", "Action": ["s3:GetObject"], "Resource": ["*"]}]}
    assert len(set(decisions([administrator, reader, _REWRITES["split"](reader)]))) == 2
