-- One row per set of service control policies (control_key) × probed action that they take away: no policy of some level allows it, or a
-- policy of any level denies it on everything. A conditional or narrow Allow may still let it through, so only silence takes away; a
-- policy that could not be read takes nothing away.
--   is_silence   the first of the two
with level as (
    select control_key, row_number() over () as level_id, policy_ids
    from (
        select control_key, unnest(from_json(control_key, '[["VARCHAR"]]')) as policy_ids
        from (select distinct control_key from resources.account_control where control_key is not null)
    )
),
attached as (
    select control_key, level_id, unnest(policy_ids) as policy_id from level
),
stated as (
    select attached.control_key, attached.level_id, applied.statement_id, statement.is_readable
    from attached
    left join resources.applied_statement as applied on applied.holder_kind = 'control' and applied.holder = attached.policy_id
    left join resources.policy_statement as statement using (statement_id)
),
action as (
    select distinct action, passed_to, kind from resources.probe
),
readable_level as (
    select control_key, level_id from stated group by all having bool_and(coalesce(is_readable, false))
),
allowed as (
    select distinct stated.level_id, hit.action, hit.passed_to
    from stated
    join resources.statement_action as hit on hit.statement_id = stated.statement_id and hit.effect = 'Allow'
)
select distinct level.control_key, action.action, action.passed_to, true as is_silence
from readable_level as level
cross join action
where not exists (
    select 1 from allowed
    where allowed.level_id = level.level_id and allowed.action = action.action and allowed.passed_to is not distinct from action.passed_to
)
union
select stated.control_key, hit.action, hit.passed_to, false
from stated
join resources.statement_action as hit on hit.statement_id = stated.statement_id
where hit.effect = 'Deny' and hit.is_certain and hit.is_everything
