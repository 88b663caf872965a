-- One row per service × task role in force, below administration × trait that its paths make, with the evidence the trait shows.
select
    role.resource_id, role.account_id, role.region, role.role_arn, path.trait, path.grants_administration,
    {
        'task_role': role.role_arn,
        'from': 'identity policies',
        'grants_administration': path.grants_administration,
        'methods': path.methods,
        'statements': path.statements,
        'service_control_policies': role.service_control_policies
    } as evidence
from resources.service_role as role
join resources.role_path_evidence as path on path.role_arn = role.role_arn
where role.source = 'task_role'
