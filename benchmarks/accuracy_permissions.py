"""Policies that others wrote and labelled, each as the one policy of a role, through the collector's parsing and sql/.

Administration and whole services are judged per policy, escalation per policy and method: the labels name methods as
`reference.permission_paths` does. Documents of AWS's managed policies are those moto ships. All roles are decided in
one run, each in an account of its own, so that no policy sees another's.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import duckdb
from ecs_exposure import databases, models
from ecs_exposure.collectors.iam import MALFORMED, statements
from ecs_exposure.schemas.snapshots import SNAPSHOTS
from judged import Judged
from moto.iam.aws_managed_policies import aws_managed_policies_data

SQL = Path(__file__).parents[1] / "sql"
DAY = date(2026, 1, 1)
ADMINISTRATION = "administrative access, all policies"
SERVICES = "service administrative"
ESCALATION = "escalation paths"

Case = Mapping[str, Any]


def judge(data: Path) -> Iterator[Judged]:
    """Raises FileNotFoundError without the label files, KeyError for a label whose document or method nobody has."""
    cases = [*_managed(data), *_third_party(data)]
    decided = decide([case["document"] for case in cases])
    for case, role in zip(cases, decided.roles, strict=True):
        yield Judged(ADMINISTRATION, case["name"], case["admin"], role.is_administrator, _some(case["admin_why"]))
        yield Judged(SERVICES, case["name"], bool(case["service_admin"]), bool(role.services), _some(role.services))
        expected = set(case["escalation"])
        if unknown := expected - decided.methods.keys():
            raise KeyError(
                f"{case['name']}: permission_paths.csv lacks the labels' methods {', '.join(sorted(unknown))}"
            )
        for method in sorted(expected | role.paths.keys()):
            if "cloudsplaining" in decided.methods[method] and not decided.is_data(method):
                yield Judged(
                    ESCALATION, f"{case['name']} {method}", method in expected, method in role.paths, role.why(method)
                )


@dataclass(frozen=True)
class DecidedRole:
    """What sql/ says of one document's role; paths are methods with what each stands on (`*` or named resources)."""

    is_administrator: bool
    services: list[str]
    paths: dict[str, str]
    statements: dict[str, list[str]]

    def why(self, method: str) -> str:
        """The statements that make the path."""
        return ", ".join(self.statements.get(method, ["administrator"] if self.is_administrator else []))


@dataclass(frozen=True)
class Decided:
    """One role per document, in order; methods are those of permission_paths with their sources."""

    roles: list[DecidedRole]
    methods: dict[str, str]
    traits: dict[str, str]

    def is_data(self, method: str) -> bool:
        return self.traits[method] == "has_single_hop_data_access_path"


def decide(documents: Sequence[object]) -> Decided:
    """Each document as the inline policy of a role in an account of its own, all decided in one run of the SQL."""
    roles, rows = [], []
    for number, document in enumerate(documents):
        account_id = f"{number + 1:012d}"
        role = {
            "account_id": account_id,
            "region": "global",
            "observed_date": DAY,
            "role_arn": f"arn:aws:iam::{account_id}:role/r",
        }
        roles.append({**role, "role_name": "r"})
        for index, statement in enumerate(statements(document)):
            statement.pop(MALFORMED, None)
            rows.append({**role, "policy_kind": "inline", "policy_name": "p", "statement_index": index, **statement})
    with databases.empty_database(SQL) as connection:
        for name, made in (("role", roles), ("role_statement", rows)):
            connection.register("made", SNAPSHOTS[name].to_arrow(made))
            connection.execute(f"insert into snapshot.{name} by name select * from made")
        connection.execute("create schema resources")
        for model in models.load(SQL):
            if model.folder == "resources":
                connection.execute(f"create table {model.name} as {model.select}")
        return _read(connection, [role["role_arn"] for role in roles])


def _read(connection: duckdb.DuckDBPyConnection, role_arns: list[str]) -> Decided:
    permission = {
        row[0]: row[1:]
        for row in connection.execute(
            "select role_arn, is_administrator, service_wildcards from resources.role_permission"
        ).fetchall()
    }
    paths: dict[str, dict[str, str]] = {}
    for role_arn, method, targets in connection.execute(
        "select role_arn, method, targets from resources.role_path"
    ).fetchall():
        paths.setdefault(role_arn, {})[method] = ", ".join(targets or ["*"])
    said: dict[str, dict[str, list[str]]] = {}
    for role_arn, method, names in connection.execute(
        "select role_arn, split_part(unnest(methods), ' (', 1), statements from resources.role_path_evidence"
    ).fetchall():
        said.setdefault(role_arn, {})[method] = names
    methods = connection.execute("select method, source, trait from reference.permission_paths").fetchall()
    return Decided(
        [DecidedRole(*permission[arn], paths.get(arn, {}), said.get(arn, {})) for arn in role_arns],
        {method: source for method, source, _ in methods},
        {method: trait for method, _, trait in methods},
    )


def _managed(data: Path) -> Iterator[Case]:
    documents = json.loads(aws_managed_policies_data)
    for case in _lines(data / "iam_policies_aws_managed_labels.jsonl"):
        yield {**case, "document": documents[case["name"]]["Document"]}


def _third_party(data: Path) -> Iterator[Case]:
    yield from _lines(data / "iam_policies_third_party.jsonl")


def _lines(path: Path) -> Iterator[Case]:
    with path.open(encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def _some(words: Sequence[str]) -> str:
    return ", ".join(words[:6])
