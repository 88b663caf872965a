-- One row per role × statement that speaks of it: its own policies', its boundary's, and Denies of service control policies that bind some roles
-- only (those that bind all of an account: resources.control_cut). Where a condition depends on which role asks, a statement that cannot
-- apply is left out, and one that does is_held: certain for this role.
with by_role as (
    select applied.*, statement.holds, statement.patterns, statement.is_excluded
    from resources.applied_statement as applied
    join resources.policy_statement as statement using (statement_id)
    where applied.holder_kind = 'role'
    union all
    select
        applied.* replace (role.role_arn as holder), statement.holds, statement.patterns, statement.is_excluded
    from resources.policy_statement as statement
    join resources.applied_statement as applied using (statement_id)
    join (
        select distinct account_id, unnest(flatten(from_json(control_key, '[["VARCHAR"]]'))) as policy_id
        from resources.account_control
        where control_key is not null
    ) as bound on bound.policy_id = applied.holder
    join snapshot.role as role on role.account_id = bound.account_id
    where applied.holder_kind = 'control' and statement.holds = 'principal' and statement.effect = 'Deny'
)
select
    holder as role_arn, part, policy_name, coalesce(nullif(sid, ''), 'statement ' || statement_index) as statement, statement_id,
    holds = 'principal' as is_held
from by_role
where holds <> 'principal'
    or (len(list_filter(patterns, lambda pattern: lower(holder) glob pattern)) > 0) <> is_excluded
