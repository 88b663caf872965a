-- One row per role of a definition in force that is granted whole services on all resources: the task role, which containers get, and the
-- execution role, which the agent uses; evidence tells them apart. Decided from identity policies (resources.role_permission).
with role as (
    select resource_id, account_id, region, 'task_role' as kind, task_role_arn as role_arn from resources.task_definition_in_force
    union
    select resource_id, account_id, region, 'execution_role', execution_role_arn from resources.task_definition_in_force
)
select
    role.resource_id, role.account_id, role.region,
    {
        'role': role.kind, 'role_arn': role.role_arn, 'from': 'identity policies', 'services': permission.service_wildcards,
        'statements': permission.service_statements, 'service_control_policies': permission.service_control_policies
    } as evidence
from role
join resources.role_permission as permission on permission.role_arn = role.role_arn
where len(permission.service_wildcards) > 0
