-- One row per service with a finding: the AWS resources that it names beside the images, each list sorted so that equal nights give
-- equal bytes.
with definitions as (
    select
        resource_id,
        list_sort(list(distinct {
            'arn': task_definition_arn, 'family': family, 'network_mode': network_mode, 'pid_mode': pid_mode, 'ipc_mode': ipc_mode,
            'task_role_arn': task_role_arn, 'execution_role_arn': execution_role_arn
        })) as task_definitions,
        list_sort(list(distinct task_role_arn) filter (where task_role_arn is not null)) as task_role_arns
    from resources.task_definition_in_force
    group by resource_id
),
group_of_service as (
    select distinct resource_id, region, unnest(security_group_ids) as group_id
    from resources.service_attachment
),
groups as (
    select
        group_of_service.resource_id,
        list_sort(list(distinct {
            'group_id': security_group.group_id, 'group_name': security_group.group_name, 'vpc_id': security_group.vpc_id,
            'account_id': security_group.account_id
        })) as security_groups
    from group_of_service
    join snapshot.security_group as security_group using (region, group_id)
    group by group_of_service.resource_id
)
select
    exposure.account_id, exposure.region, exposure.resource_id,
    service.cluster_arn, service.task_definition_arn, service.desired_count, service.is_execute_command_enabled, service.assign_public_ip,
    list_sort(service.subnet_ids) as subnet_ids,
    list_sort(service.security_group_ids) as security_group_ids,
    list_sort(service.load_balancers) as load_balancers,
    coalesce(definitions.task_definitions, []) as task_definitions,
    coalesce(definitions.task_role_arns, []) as task_role_arns,
    coalesce(groups.security_groups, []) as security_groups
from exposures.exposure as exposure
left join resources.service as service using (resource_id)
left join definitions using (resource_id)
left join groups using (resource_id)
where exposure.severity <> 'INFORMATIONAL'
