-- One row per IAM role: principal_id is equal for roles with the same statements under the same service control policies, so that what such
-- roles may do is decided once. is_readable is false when a document that applies to the role could not be read.
with held as (
    select
        spoken.role_arn,
        md5(array_to_string(list_sort(list(distinct concat(spoken.part = 'boundary', spoken.is_held, spoken.statement_id))), ' ')) as statements,
        bool_and(statement.is_readable) as is_readable,
        bool_or(spoken.part = 'boundary') as has_boundary
    from resources.role_statement as spoken
    join resources.policy_statement as statement using (statement_id)
    group by spoken.role_arn
)
select
    role.role_arn, role.account_id,
    md5(concat_ws(' ', coalesce(held.statements, ''), coalesce(control.control_key, ''))) as principal_id,
    control.control_key,
    coalesce(control.control_sight, 'not_seen') as control_sight,
    coalesce(held.is_readable, true) as is_readable,
    -- A boundary whose document nobody saw limits nothing we know of.
    coalesce(held.has_boundary, false) as has_boundary
from snapshot.role as role
left join held on held.role_arn = role.role_arn
left join resources.account_control as control on control.account_id = role.account_id
