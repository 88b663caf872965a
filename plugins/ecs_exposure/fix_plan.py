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
import pyarrow as pa

GREEDY = 50
"""Ranks that count what is left after those above them; the others count what is left after these."""

PLANNED = "severity <> 'INFORMATIONAL' and accepted_until is null"
"""The exposures a plan is made for: open ones, without those that are accepted that day."""

_LEVELS = ("INFORMATIONAL", "LOW", "MEDIUM", "HIGH", "CRITICAL")  # by their level, from 0
_HIGH, _CRITICAL = 3, 4
_EFFECTS = ("lowered", "critical_removed", "high_removed", "score_removed", "weight_removed")
_PLANNED: dict[str, Any] = {
    name: pa.array([], pa.float64() if name in ("score_removed", "weight_removed") else pa.int64())
    for name in ("rank", "change", *_EFFECTS)
}

_DESCRIBED = """case change.kind
        when 'image' then 'Rebuild the images of repository ' || change.name || ' on patched packages and redeploy'
        when 'role' then 'Narrow role ' || split_part(change.name, '/', -1) || ' to what its tasks use'
        when 'security_group' then 'Close what group ' || change.name || ' opens to the internet'
        when 'task_definition'
            then 'Register a revision of task definition ' || change.name || ' without its weaknesses and redeploy'
        else 'Turn off settings of service ' || split_part(change.name, '/', -1)
    end || coalesce(': ' || change.detail, case when len(change.traits) > 0 then
        ': ' || replace(array_to_string(change.traits[1:4], ', '), '_', ' ')
        || case when len(change.traits) > 4 then ' and ' || (len(change.traits) - 4) || ' more' else '' end end, '')"""


def fix_plan(
    connection: duckdb.DuckDBPyConnection,
    schema: str,
    weights: dict[str, float],
    where: str = "true",
    parameters: Mapping[str, Any] | None = None,
) -> pa.Table:
    """Rows of the result table `fix_plan`, without its day, over the exposures of PLANNED that `where` chooses: changes
    that lower something, by themselves or with those before them.

    Reads `exposure`, `remediation` and `remediation_outcome` of `schema`; `weights` are reference/severity.csv's by
    severity; `where` is a condition on `exposure` with its `parameters`.
    """
    connection.execute(
        f"""create or replace temp table planned as
        select row_number() over (order by resource_id) - 1 as service, resource_id, severity, score, owner
        from {schema}.exposure where {PLANNED} and ({where})""",
        dict(parameters) if parameters else None,
    )
    connection.execute(
        f"""create or replace temp table change as
        select row_number() over (order by remediation_id) - 1 as change, remediation_id
        from (select distinct remediation_id from {schema}.remediation);
        create or replace temp table touched as
        select planned.service, remediation.position, change.change
        from {schema}.remediation as remediation
        join planned using (resource_id)
        join change using (remediation_id)"""
    )
    outcome = connection.execute(
        f"""select service, list_position($levels, severity) - 1 as level, score from (
            select service, 0 as changes, severity, score from planned
            union all
            select planned.service, outcome.changes, outcome.severity, outcome.score
            from {schema}.remediation_outcome as outcome join planned using (resource_id)
        ) order by service, changes""",
        {"levels": list(_LEVELS)},
    ).fetchnumpy()
    touched = connection.execute("from touched").fetchnumpy()
    connection.register("plan", _greedy(outcome, touched, [weights[name] for name in _LEVELS]))
    rows = connection.sql(
        f"""with change as (
            select
                change.change, remediation_id, remediation.kind, remediation.remediation_account_id,
                remediation.remediation_region, remediation.name, min(remediation.detail) as detail,
                list_sort(list_distinct(flatten(list(remediation.traits)))) as traits,
                list_sort(list(resource_id)) as resource_ids,
                coalesce(list_sort(list(distinct planned.owner) filter (where planned.owner is not null)), []) as owners
            from plan
            join change using (change)
            join {schema}.remediation as remediation using (remediation_id)
            join planned using (resource_id)
            group by all
        )
        select
            plan.rank, change.remediation_id, change.kind, change.remediation_account_id, change.remediation_region,
            change.name, {_DESCRIBED} as description, change.resource_ids, change.owners, plan.* exclude (rank, change)
        from plan
        join change using (change)
        order by plan.rank"""
    ).to_arrow_table()
    connection.unregister("plan")
    return rows


def _greedy(outcome: dict[str, Any], touched: dict[str, Any], weights: Sequence[float]) -> pa.Table:
    """rank, change and its effect, in the order of the plan.

    outcome: service, level and score for every set of a service's changes, ordered by service and set (0 is none).
    touched: a row per service and change, with the change's bit in the sets.
    """
    level = outcome["level"].astype(np.int8)
    score = np.asarray(outcome["score"], dtype=np.float64)
    weight = np.array(weights)[level]
    services = int(outcome["service"].max()) + 1 if len(score) else 0
    # Sets of a service are stored densely, in the order of their bits: its row plus the set is the set's row.
    begin = np.searchsorted(outcome["service"], np.arange(services))
    state = begin.copy()
    service, change = touched["service"].astype(np.int64), touched["change"].astype(np.int64)
    bit = np.left_shift(1, touched["position"].astype(np.int64))
    changes = int(change.max()) + 1 if len(change) else 0
    done = np.zeros(changes, dtype=bool)
    parts: list[dict[str, Any]] = []
    effect = {name: np.zeros(len(change)) for name in _EFFECTS}

    def work_out(rows: Any) -> None:
        """What each of these rows' change would do to its service as it now is."""
        now = state[service[rows]]
        then = begin[service[rows]] + ((now - begin[service[rows]]) | bit[rows])
        effect["lowered"][rows] = level[then] < level[now]
        effect["critical_removed"][rows] = (level[now] == _CRITICAL) & (level[then] < _CRITICAL)
        effect["high_removed"][rows] = (level[now] == _HIGH) & (level[then] < _HIGH)
        effect["score_removed"][rows] = score[now] - score[then]
        effect["weight_removed"][rows] = weight[now] - weight[then]

    work_out(np.arange(len(change)))
    for rank in range(1, min(GREEDY + 1, changes) + 1):
        sums = {name: np.bincount(change, weights=values, minlength=changes) for name, values in effect.items()}
        # Rounded: a sum of the same scores in another order is the same effect.
        sums["score_removed"] = np.round(sums["score_removed"], 6)
        order = np.lexsort((np.arange(changes), -sums["score_removed"], -sums["weight_removed"], done))
        # Past the greedy ranks all that still lowers a severity is told at once.
        if rank > GREEDY:
            chosen = order[: changes - rank + 1]
            chosen = chosen[sums["weight_removed"][chosen] > 0]
        else:
            chosen = order[:1]
            chosen = chosen[sums["score_removed"][chosen] > 0]
        parts.append(
            {"rank": rank + np.arange(len(chosen)), "change": chosen}
            | {name: values[chosen].astype(_PLANNED[name].type.to_pandas_dtype()) for name, values in sums.items()}
        )
        if not len(chosen):
            break
        done[chosen] = True
        mine = change == chosen[0]
        state[service[mine]] = begin[service[mine]] + ((state[service[mine]] - begin[service[mine]]) | bit[mine])
        is_touched = np.zeros(services, dtype=bool)
        is_touched[service[mine]] = True
        work_out(np.flatnonzero(is_touched[service]))
    return pa.table({name: np.concatenate([part[name] for part in parts]) for name in _PLANNED} if parts else _PLANNED)
