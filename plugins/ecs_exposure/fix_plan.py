"""What to fix first: the changes a team can make, in the order in which they lower most of what is left.

Greedy: the change with the largest effect comes first, then the one with the largest effect on what that leaves, and so
on. What a service would be without any set of its changes is in `remediation_outcome`, computed by the same SQL as its
severity, so that two changes that need each other (two open groups) count together and none counts twice.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import duckdb
import numpy as np

GREEDY = 50
"""Ranks that count what is left after those above them; the others count what is left after these."""

SEVERITY_LEVELS = {"CRITICAL": 5, "HIGH": 4, "MEDIUM": 3, "LOW": 2, "INFORMATIONAL": 1}

_WORDS = {
    "image": "Rebuild the images of repository {name} on patched packages and redeploy",
    "role": "Narrow role {name} to what its tasks use",
    "security_group": "Close what group {name} opens to the internet",
    "task_definition": "Register a revision of task definition {name} without its weaknesses and redeploy",
    "service": "Turn off settings of service {name}",
}


def fix_plan(
    connection: duckdb.DuckDBPyConnection,
    schema: str,
    weights: dict[str, float],
    where: str = "true",
    parameters: Mapping[str, Any] | None = None,
) -> list[dict[str, Any]]:
    """Rows of the result table `fix_plan`, without its day, over the published exposures that `where` chooses: changes
    that lower something, by themselves or with those before them.

    Reads `exposure`, `remediation` and `remediation_outcome` of `schema`; `weights` are reference/severity.csv's by
    severity; `where` is a condition on `exposure` with its `parameters`.
    """
    connection.execute(
        f"""create or replace temp table planned as
        select row_number() over (order by resource_id) - 1 as service, resource_id, severity, score, owner
        from {schema}.exposure where severity <> 'INFORMATIONAL' and ({where})""",
        dict(parameters) if parameters else None,
    )
    services = connection.execute("select resource_id, severity, score, owner from planned order by service").fetchall()
    outcome = connection.execute(
        f"""select service, changes, severity, score from (
            select service, 0 as changes, severity, score from planned
            union all
            select planned.service, outcome.changes, outcome.severity, outcome.score
            from {schema}.remediation_outcome as outcome join planned using (resource_id)
        ) order by service, changes"""
    ).fetchnumpy()
    touched = connection.execute(
        f"""select planned.service, remediation.position,
            dense_rank() over (order by remediation.remediation_id) - 1 as change
        from {schema}.remediation as remediation join planned using (resource_id)"""
    ).fetchnumpy()
    changes = connection.execute(
        f"""select remediation_id, kind, remediation_account_id, remediation_region, name, min(detail),
            list_sort(list(distinct trait))
        from (
            select remediation.* exclude (traits),
                unnest(case when len(traits) = 0 then [null] else traits end) as trait
            from {schema}.remediation as remediation join planned using (resource_id)
        )
        group by all order by remediation_id"""
    ).fetchall()
    order = _greedy(services, outcome, touched, len(changes), weights)
    members: dict[int, list[int]] = {change: [] for change, _ in order}
    for service, change in zip(touched["service"].tolist(), touched["change"].tolist(), strict=True):
        if change in members:
            members[change].append(service)
    rows = []
    for rank, (change, effect) in enumerate(order, 1):
        identity, kind, account_id, region, name, detail, traits = changes[change]
        touches = [services[service] for service in members[change]]
        rows.append(
            {
                "rank": rank,
                "remediation_id": identity,
                "kind": kind,
                "remediation_account_id": account_id,
                "remediation_region": region,
                "name": name,
                "description": _description(kind, name, detail, [trait for trait in traits if trait]),
                "resource_ids": sorted(service[0] for service in touches),
                "owners": sorted({service[3] for service in touches if service[3]}),
                **effect,
            }
        )
    return rows


def _greedy(
    services: Sequence[Sequence[Any]],
    outcome: dict[str, Any],
    touched: dict[str, Any],
    changes: int,
    weights: dict[str, float],
) -> list[tuple[int, dict[str, Any]]]:
    """(change, effect) in the order of the plan."""
    level = np.array([SEVERITY_LEVELS[severity] for severity in outcome["severity"]], dtype=np.int8)
    score = np.asarray(outcome["score"], dtype=np.float64)
    by_level = np.array([0.0] + [weights[name] for name in sorted(SEVERITY_LEVELS, key=SEVERITY_LEVELS.__getitem__)])
    weight = by_level[level]
    # Sets of a service are stored densely, in the order of their bits: its row plus the set is the set's row.
    state = np.searchsorted(outcome["service"], np.arange(len(services)))
    begin = state.copy()
    service, change = touched["service"].astype(np.int64), touched["change"].astype(np.int64)
    bit = np.left_shift(1, touched["position"].astype(np.int64))
    done = np.zeros(changes, dtype=bool)
    plan: list[tuple[int, dict[str, Any]]] = []

    def sums(values: Any) -> Any:
        return np.bincount(change, weights=values, minlength=changes)

    while len(plan) < changes:
        now = state[service]
        then = begin[service] + ((now - begin[service]) | bit)
        score_removed = sums(score[now] - score[then])
        weight_removed = sums(weight[now] - weight[then])
        effects = {
            "lowered": sums(level[then] < level[now]),
            "critical_removed": sums((level[now] == 5) & (level[then] < 5)),
            "high_removed": sums((level[now] == 4) & (level[then] < 4)),
            "score_removed": score_removed,
            "weight_removed": weight_removed,
        }
        # Rounded: a sum of the same scores in another order is the same effect.
        order = np.lexsort((np.arange(changes), -np.round(score_removed, 6), -weight_removed, done))
        # Past the greedy ranks all that still lowers a severity is told at once.
        is_greedy = len(plan) < GREEDY
        for item in (order[:1] if is_greedy else order[: changes - len(plan)]).tolist():
            if (score_removed if is_greedy else weight_removed)[item] <= 0:
                return plan
            effect = {
                name: round(float(values[item]), 6)
                if name.endswith(("score_removed", "weight_removed"))
                else int(values[item])
                for name, values in effects.items()
            }
            plan.append((item, effect))
        if not is_greedy:
            return plan
        done[plan[-1][0]] = True
        mine = change == plan[-1][0]
        state[service[mine]] = begin[service[mine]] + ((state[service[mine]] - begin[service[mine]]) | bit[mine])
    return plan


def _description(kind: str, name: str, detail: str | None, traits: Sequence[str]) -> str:
    words = _WORDS[kind].format(name=name.rpartition("/")[2] if kind in ("role", "service") else name)
    listed = ", ".join(trait.replace("_", " ") for trait in traits[:4])
    more = f" and {len(traits) - 4} more" if len(traits) > 4 else ""
    about = detail or (f"{listed}{more}" if listed else "")
    return f"{words}: {about}" if about else words
