-- One row per task role in force that effectively allows administration (resources.role_permission draws the line).
select
    role.resource_id, role.account_id, role.region,
    {
        'task_role': role.role_arn, 'policies': role.administrative_policies, 'statements': role.administrative_statements,
        'service_control_policies': role.service_control_policies
    } as evidence
from resources.service_role as role
where role.source = 'task_role' and role.is_administrator
