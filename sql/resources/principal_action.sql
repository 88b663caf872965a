-- One row per principal × probed action that its identity policies certainly allow somewhere.
--   is_allowed            on everything of its kind, before anything takes it away
--   remains               what is left of that after Deny statements, the permissions boundary and service control policies
--   remains_somewhere     likewise for the action on whatever resources it is allowed on
--   is_pinned             allowed by a pattern that names the service
with example as (
    select principal_id, min(role_arn) as role_arn, any_value(has_boundary) as has_boundary, any_value(control_key) as control_key
    from resources.role_principal
    group by principal_id
),
effect as (
    select
        example.principal_id, hit.kind, hit.action,
        bool_or(hit.effect = 'Allow' and spoken.part <> 'boundary' and (hit.is_certain or spoken.is_held)) as is_allowed_somewhere,
        bool_or(hit.effect = 'Allow' and spoken.part <> 'boundary' and (hit.is_certain or spoken.is_held) and hit.is_everything) as is_allowed,
        bool_or(hit.effect = 'Allow' and spoken.part <> 'boundary' and (hit.is_certain or spoken.is_held) and hit.is_everything and hit.is_pinned) as is_pinned,
        bool_or(hit.effect = 'Deny' and (hit.is_certain or spoken.is_held) and hit.is_everything) as is_denied,
        -- A conditional boundary may still let it through: only silence takes away.
        bool_or(hit.effect = 'Allow' and spoken.part = 'boundary' and hit.is_possible and hit.is_everything) as is_in_boundary,
        bool_or(hit.effect = 'Allow' and spoken.part = 'boundary' and hit.is_possible) as is_in_boundary_somewhere
    from example
    join resources.role_statement as spoken on spoken.role_arn = example.role_arn
    join resources.statement_action as hit on hit.statement_id = spoken.statement_id
    group by all
)
select
    effect.principal_id, effect.kind, effect.action, effect.is_allowed, effect.is_pinned,
    effect.is_allowed and not effect.is_denied and cut.action is null and (not example.has_boundary or effect.is_in_boundary) as remains,
    not effect.is_denied and cut.action is null and (not example.has_boundary or effect.is_in_boundary_somewhere) as remains_somewhere
from effect
join example using (principal_id)
left join (select distinct control_key, action from resources.control_cut) as cut
    on cut.control_key = example.control_key and cut.action = effect.action
where effect.is_allowed_somewhere
