-- One row per task role in force that effectively allows administration (resources.role_permission draws the line).
select
    role.resource_id, role.account_id, role.region,
    {'task_role': role.role_arn, 'policies': role.administrative_policies} as evidence
from resources.service_role as role
where role.source = 'task_role' and role.is_administrator
