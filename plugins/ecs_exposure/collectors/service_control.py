"""AWS Organizations: the service control policies, and at which level of the tree which of them are attached.

One listing, then two calls a policy, however many accounts there are. Effective is what every level from the root
down to the account allows and none denies; that is decided in SQL.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ecs_exposure.aws_errors import bounded
from ecs_exposure.collectors.base import Row, listing, required
from ecs_exposure.collectors.iam import MALFORMED, statements

KIND = "SERVICE_CONTROL_POLICY"
CONTROL_DATASETS = ("service_control_statement", "service_control_level")


@dataclass(frozen=True)
class Control:
    """Coverage status and message of CONTROL_DATASETS, and their rows (without the target's columns)."""

    status: str
    message: str | None
    rows: dict[str, list[Row]] = field(default_factory=lambda: {name: [] for name in CONTROL_DATASETS})


def collect_control(client: Any, roots: Sequence[Mapping[str, Any]], lines: Mapping[str, Sequence[str]]) -> Control:
    """Every service control policy with its statements, and every account's levels with the policies attached there.

    `roots` is ListRoots' answer; `lines` gives each account the ids above it, root first, its own last. Status is
    not_enabled when no root has such policies enabled; raises whatever AWS answers otherwise.
    """
    kinds = [kind for root in roots for kind in root.get("PolicyTypes", [])]
    if not any(kind.get("Type") == KIND and kind.get("Status") == "ENABLED" for kind in kinds):
        return Control("not_enabled", "service control policies are not enabled in the organisation")
    rows: list[Row] = []
    malformed: list[str] = []
    attached: dict[str, list[str]] = {}
    for policy in listing(client, "list_policies", "Policies", Filter=KIND):
        described = required(client.describe_policy(PolicyId=policy["Id"]), "Policy", "DescribePolicy")
        for index, statement in enumerate(statements(described.get("Content"))):
            if statement.pop(MALFORMED, False):
                malformed.append(policy["Name"])
            rows.append(
                {"policy_id": policy["Id"], "policy_name": policy["Name"], "statement_index": index, **statement}
            )
        for target in listing(client, "list_targets_for_policy", "Targets", PolicyId=policy["Id"]):
            attached.setdefault(target["TargetId"], []).append(policy["Id"])
    levels = [
        {
            "bound_account_id": account_id,
            "level": level,
            "target_id": target_id,
            "policy_ids": sorted(attached.get(target_id, [])),
        }
        for account_id, line in sorted(lines.items())
        for level, target_id in enumerate(line)
    ]
    named = "; ".join(dict.fromkeys(malformed))
    message = f"service control policies that cannot be read, which restrict nothing here: {named}" if named else None
    found = dict(zip(CONTROL_DATASETS, (rows, levels), strict=True))
    return Control("ok", message and bounded(message), found)
