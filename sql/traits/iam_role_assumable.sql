-- One row per definition in force with a task role: its containers are given that role's credentials.
select
    definition.resource_id, definition.account_id, definition.region,
    {'task_definition': definition.task_definition_arn, 'task_role': definition.task_role_arn} as evidence
from resources.task_definition_in_force as definition
where definition.task_role_arn is not null
