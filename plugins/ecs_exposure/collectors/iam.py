"""AWS IAM: every role with the policy statements that apply to it, from one paged call
(GetAccountAuthorizationDetails).

Documents that cannot be read are never "no permissions": each becomes one statement row whose actions, not_actions,
resources and not_resources are all NULL (no valid statement looks like that), and is named in the coverage message.
SQL reads such a row as "unknown".
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ecs_exposure.collectors.base import Collector, Context, Row, Rows, moment, required, tags_json

FILTER = ["Role", "LocalManagedPolicy", "AWSManagedPolicy"]  # no users, no groups: neither applies to a role
PAGE = 1000
MALFORMED = "malformed"


@dataclass(frozen=True)
class Document:
    """A policy document that applies to a role."""

    kind: str  # inline, attached or boundary
    name: str  # of the inline policy, or the managed policy's ARN
    content: Any


def collect_roles(context: Context) -> Rows:
    """Rows of role and role_statement.

    Managed policies are read in their default version; those the listing leaves out are fetched one by one.
    """
    iam = context.client("iam")
    roles: list[Row] = []
    managed: dict[str, Any] = {}
    pages = iam.get_paginator("get_account_authorization_details").paginate(
        Filter=FILTER, PaginationConfig={"PageSize": PAGE}
    )
    for page in pages:
        roles += required(page, "RoleDetailList", "GetAccountAuthorizationDetails")
        for policy in required(page, "Policies", "GetAccountAuthorizationDetails"):
            versions = policy.get("PolicyVersionList", [])
            default = next((version for version in versions if version.get("IsDefaultVersion")), None)
            if default is not None and "Document" in default:
                managed[policy["Arn"]] = default["Document"]
    malformed: list[str] = []
    for role in roles:
        yield "role", _role(context, role)
        for document in _documents(iam, role, managed):
            for index, statement in enumerate(statements(document.content)):
                if MALFORMED in statement:
                    malformed.append(f"{role['RoleName']}: {document.kind} {document.name}")
                yield "role_statement", _statement(context, role["Arn"], document, index, statement)
    if malformed:
        names = "; ".join(dict.fromkeys(malformed))
        context.note("role_statement", f"policy documents that cannot be read, kept as unknown permissions: {names}")


def _role(context: Context, role: Row) -> Row:
    trust = role.get("AssumeRolePolicyDocument")
    return context.row(
        role_arn=role["Arn"],
        role_name=role["RoleName"],
        trust_policy=trust if trust is None or isinstance(trust, str) else json.dumps(trust, sort_keys=True),
        boundary_arn=_boundary(role),
        attached_policy_arns=sorted(policy["PolicyArn"] for policy in role.get("AttachedManagedPolicies", [])),
        instance_profile_arns=sorted(profile["Arn"] for profile in role.get("InstanceProfileList", [])),
        last_used_at=moment(role.get("RoleLastUsed", {}).get("LastUsedDate")),
        tags=tags_json(role.get("Tags", [])),
    )


def _boundary(role: Row) -> str | None:
    return role.get("PermissionsBoundary", {}).get("PermissionsBoundaryArn") or None


def _documents(iam: Any, role: Row, managed: dict[str, Any]) -> Iterator[Document]:
    for inline in role.get("RolePolicyList", []):
        yield Document("inline", inline["PolicyName"], inline.get("PolicyDocument"))
    for attached in role.get("AttachedManagedPolicies", []):
        yield Document("attached", attached["PolicyArn"], _managed(iam, attached["PolicyArn"], managed))
    if boundary := _boundary(role):
        yield Document("boundary", boundary, _managed(iam, boundary, managed))


def _managed(iam: Any, arn: str, managed: dict[str, Any]) -> Any:
    """The document of a managed policy; None (read as malformed: unknown) for one that no longer exists."""
    if arn not in managed:
        try:
            version = required(iam.get_policy(PolicyArn=arn), "Policy", "GetPolicy")["DefaultVersionId"]
            answer = iam.get_policy_version(PolicyArn=arn, VersionId=version)
            managed[arn] = required(answer, "PolicyVersion", "GetPolicyVersion").get("Document")
        except iam.exceptions.NoSuchEntityException:
            managed[arn] = None
    return managed[arn]


def _statement(context: Context, role_arn: str, document: Document, index: int, statement: Row) -> Row:
    columns = {name: value for name, value in statement.items() if name != MALFORMED}
    return context.row(
        role_arn=role_arn,
        policy_kind=document.kind,
        policy_name=document.name,
        statement_index=index,
        **columns,
    )


def statements(document: object) -> list[Row]:
    """A policy document's statements as columns of role_statement, without any judgement.

    Reads every shape IAM accepts: Statement as an object, strings for lists, any case, no Version, a document still
    in JSON text. What it cannot read is a row with `malformed` set and all four pattern columns NULL; an empty
    Statement list has no rows.
    """
    if isinstance(document, str):
        try:
            document = json.loads(document)
        except ValueError:
            return [_unreadable("not JSON")]
    if not isinstance(document, dict):
        return [_unreadable("no document")]
    members = {str(name).lower(): value for name, value in document.items()}
    found = members.get("statement")
    if isinstance(found, dict):
        found = [found]
    if not isinstance(found, list):
        return [_unreadable("no Statement")]
    return [_columns(item) for item in found]


def _columns(statement: object) -> Row:
    if not isinstance(statement, dict):
        return _unreadable("statement is not an object")
    members = {str(name).lower(): value for name, value in statement.items()}
    effect = str(members.get("effect", "")).strip().capitalize()
    actions, not_actions = _patterns(members.get("action")), _patterns(members.get("notaction"))
    resources, not_resources = _patterns(members.get("resource")), _patterns(members.get("notresource"))
    if effect not in ("Allow", "Deny"):
        return _unreadable("no Effect")
    if (actions is None) == (not_actions is None):
        return _unreadable("needs one of Action and NotAction")
    if (resources is None) == (not_resources is None):
        return _unreadable("needs one of Resource and NotResource")
    condition = members.get("condition")
    return {
        "effect": effect,
        "actions": _lower(actions),
        "not_actions": _lower(not_actions),
        "resources": resources,
        "not_resources": not_resources,
        "condition": json.dumps(condition, sort_keys=True, default=str) if condition else None,
    }


def _patterns(value: object) -> list[str] | None:
    if isinstance(value, str):
        return [value]
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return value
    return None


def _lower(patterns: list[str] | None) -> list[str] | None:
    return None if patterns is None else [pattern.strip().lower() for pattern in patterns]


def _unreadable(reason: str) -> Row:
    return {
        "effect": "Allow",
        "actions": None,
        "not_actions": None,
        "resources": None,
        "not_resources": None,
        "condition": json.dumps({MALFORMED: reason}),
        MALFORMED: True,
    }


ROLES = Collector("iam_roles", "iam", ("role", "role_statement"), "global", collect_roles)
