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
stated as (
    select attached.control_key, attached.level_id, applied.statement_id, coalesce(statement.is_readable, false) as is_readable
    from (select control_key, level_id, unnest(policy_ids) as policy_id from level) as attached
    left join resources.applied_statement as applied on applied.holder_kind = 'control' and applied.holder = attached.policy_id
    left join resources.policy_statement as statement on statement.statement_id = applied.statement_id
),
readable_level as (
    select control_key, level_id from stated group by control_key, level_id having bool_and(is_readable)
),
allowed as (
    select stated.level_id, hit.action
    from stated
    join resources.statement_action as hit on hit.statement_id = stated.statement_id and hit.effect = 'Allow' and hit.is_possible
)
select distinct level.control_key, probe.action, true as is_silence
from readable_level as level
cross join (select distinct action from resources.probe) as probe
anti join allowed on allowed.level_id = level.level_id and allowed.action = probe.action
union all
select distinct stated.control_key, hit.action, false
from stated
join resources.statement_action as hit on hit.statement_id = stated.statement_id
where hit.effect = 'Deny' and hit.is_certain and hit.is_everything
