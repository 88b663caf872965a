-- One row per definition in force with a task role: its containers are given that role's credentials.
-- Evidence also names policies that would make the role administrator if a condition held, which only a request can tell.
select
    definition.resource_id, definition.account_id, definition.region,
    {
        'task_definition': definition.task_definition_arn, 'task_role': definition.task_role_arn,
        'administrator_under_condition': role.conditional_policies
    } as evidence
from resources.task_definition_in_force as definition
left join resources.service_role as role
    on role.resource_id = definition.resource_id and role.role_arn = definition.task_role_arn and role.source = 'task_role'
    and len(role.conditional_policies) > 0
where definition.task_role_arn is not null
