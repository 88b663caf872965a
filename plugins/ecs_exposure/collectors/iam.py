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

from ecs_exposure.aws_errors import IncompleteAnswer
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
    """Rows of role, role_statement and role_trust.

    Managed policies are read in their default version; those the listing leaves out are fetched one by one.
    """
    iam = context.client("iam")
    try:
        roles, managed = _listed(iam)
    except RecursionError as error:  # botocore decodes the documents
        raise IncompleteAnswer("a policy document is nested too deeply to be decoded") from error
    malformed: list[str] = []
    for role in roles:
        yield "role", _role(context, role)
        for index, statement in enumerate(trust_statements(role.get("AssumeRolePolicyDocument"))):
            yield "role_trust", context.row(role_arn=role["Arn"], statement_index=index, **statement)
        for document in _documents(iam, role, managed):
            for index, statement in enumerate(statements(document.content)):
                if MALFORMED in statement:
                    malformed.append(f"{role['RoleName']}: {document.kind} {document.name}")
                yield "role_statement", _statement(context, role["Arn"], document, index, statement)
    if malformed:
        names = "; ".join(dict.fromkeys(malformed))
        context.note("role_statement", f"policy documents that cannot be read, kept as unknown permissions: {names}")


def _listed(iam: Any) -> tuple[list[Row], dict[str, Any]]:
    """The account's roles, and the default documents of its managed policies by ARN."""
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
    return roles, managed


def _role(context: Context, role: Row) -> Row:
    return context.row(
        role_arn=role["Arn"],
        role_name=role["RoleName"],
        trust_policy=_document_text(role.get("AssumeRolePolicyDocument")),
        boundary_arn=_boundary(role),
        attached_policy_arns=sorted(policy["PolicyArn"] for policy in role.get("AttachedManagedPolicies", [])),
        instance_profile_arns=sorted(profile["Arn"] for profile in role.get("InstanceProfileList", [])),
        last_used_at=moment(role.get("RoleLastUsed", {}).get("LastUsedDate")),
        tags=tags_json(role.get("Tags", [])),
    )


def _document_text(document: object) -> str | None:
    if document is None or isinstance(document, str):
        return document and _text(document)
    try:
        return json.dumps(document, sort_keys=True)
    except RecursionError:
        return None


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
        except (ValueError, RecursionError):
            return [_unreadable("not JSON")]
    if not isinstance(document, dict):
        return [_unreadable("no document")]
    if "statement" not in _members(document):
        return [_unreadable("no Statement")]
    return [_columns(item) for item in _statement_list(document)]


def _columns(statement: object) -> Row:
    if not isinstance(statement, dict):
        return _unreadable("statement is not an object")
    members = _members(statement)
    effect = str(members.get("effect", "")).strip().capitalize()
    actions, not_actions = _patterns(members.get("action")), _patterns(members.get("notaction"))
    resources, not_resources = _patterns(members.get("resource")), _patterns(members.get("notresource"))
    if effect not in ("Allow", "Deny"):
        return _unreadable("no Effect")
    if (actions is None) == (not_actions is None):
        return _unreadable("needs one of Action and NotAction")
    if (resources is None) == (not_resources is None):
        return _unreadable("needs one of Resource and NotResource")
    return {
        "effect": effect,
        "actions": _lower(actions),
        "not_actions": _lower(not_actions),
        "resources": resources,
        "not_resources": not_resources,
        "condition": _condition(members),
        "sid": _sid(members),
    }


def trust_statements(document: object) -> list[Row]:
    """A trust policy's statements as columns of role_trust, without any judgement; read as leniently as `statements`.

    A document or statement that cannot be read is a row without actions and without principals: who may assume the
    role is unknown then, not nobody.
    """
    return [_trust_columns(item) for item in _statement_list(document)]


def _trust_columns(statement: object) -> Row:
    members = _members(statement)
    principal = members.get("principal")
    if isinstance(principal, str):
        principals: list[str] | None = [_text(principal.strip())]
    elif isinstance(principal, dict):
        named = {_text(str(kind).strip()): _patterns(value) for kind, value in principal.items()}
        is_complete = all(found is not None for found in named.values())
        principals = (
            [f"{kind}:{item}" for kind, found in named.items() for item in found or []] if is_complete else None
        )
    else:
        principals = None
    return {
        "effect": "Deny" if str(members.get("effect", "")).strip().lower() == "deny" else "Allow",
        "actions": _lower(_patterns(members.get("action"))),
        "principals": None if principals is None else sorted(set(principals)),
        "condition": _condition(members),
    }


def _statement_list(document: object) -> list[object]:
    """The statements of a document, which may still be JSON text; one None for what has none."""
    if isinstance(document, str):
        try:
            document = json.loads(document)
        except (ValueError, RecursionError):
            return [None]
    found = _members(document).get("statement")
    if isinstance(found, dict):
        return [found]
    return found if isinstance(found, list) else [None]


def _members(value: object) -> Row:
    """The members of a JSON object by lower-case name; none for anything else."""
    return {str(name).lower(): item for name, item in value.items()} if isinstance(value, dict) else {}


def _condition(members: Row) -> str | None:
    """The Condition block as JSON text. One nested too deeply to be written is still a condition, which may fail."""
    condition = members.get("condition")
    if not condition:
        return None
    try:
        return json.dumps(condition, sort_keys=True, default=str)
    except RecursionError:
        return json.dumps({MALFORMED: "nested too deeply"})


def _sid(members: Row) -> str | None:
    sid = members.get("sid")
    return _text(sid) if isinstance(sid, str) and sid else None


def _patterns(value: object) -> list[str] | None:
    if isinstance(value, str):
        return [_text(value)]
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return [_text(item) for item in value]
    return None


def _text(value: str) -> str:
    """Text that can be stored: JSON can name half a character (a lone surrogate), UTF-8 cannot."""
    return value.encode("utf-8", "replace").decode()


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
        "sid": None,
        MALFORMED: True,
    }


ROLES = Collector("iam_roles", "iam", ("role", "role_statement", "role_trust"), "global", collect_roles)
