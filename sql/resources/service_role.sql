-- One row per service × role whose credentials its containers can get: the task roles of the revisions in force, and
-- the instance's where a container reaches the instance metadata. (The execution role's credentials stay with the agent.)
-- is_seen is false when the role was named but not found among the account's roles, or a policy of it is unreadable.
with task_role as (
    select distinct resource_id, account_id, region, 'task_role' as source, task_role_arn as role_arn
    from resources.task_definition_in_force
    where task_role_arn is not null
),
-- IMDS answers version 1 whatever the hop limit; with tokens required the answer must survive the hop into the container:
-- none in host mode, one in the others (https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html).
-- Blocking inside the instance (ECS_AWSVPC_BLOCK_IMDS, iptables) cannot be seen from here.
instance_role as (
    select distinct service.resource_id, service.account_id, service.region, 'instance_role' as source, role.role_arn
    from snapshot.task as task
    join resources.service as service on service.resource_id = task.resource_id
    join snapshot.task_definition as definition on definition.task_definition_arn = task.task_definition_arn
    join snapshot.container_instance as host on host.container_instance_arn = task.container_instance_arn
    join snapshot.instance as instance on instance.instance_id = host.ec2_instance_id
    join (select role_arn, unnest(instance_profile_arns) as instance_profile_arn from snapshot.role) as role
        on role.instance_profile_arn = instance.instance_profile_arn
    where instance.http_endpoint is distinct from 'disabled'
        and definition.network_mode <> 'none'
        and (instance.http_tokens is distinct from 'required'
            or coalesce(instance.http_put_response_hop_limit, 1) >= case when definition.network_mode = 'host' then 1 else 2 end)
),
role as (
    from task_role union all from instance_role
)
select
    role.*,
    coalesce(permission.is_readable, false) as is_seen,
    coalesce(permission.is_administrator, false) as is_administrator,
    coalesce(permission.administrative_policies, []) as administrative_policies,
    coalesce(permission.service_wildcards, []) as service_wildcards,
    coalesce(permission.is_effective_administrator, false) as is_effective_administrator,
    coalesce(permission.conditional_policies, []) as conditional_policies,
    coalesce(permission.administrative_statements, []) as administrative_statements,
    permission.service_control_policies
from role
left join resources.role_permission as permission on permission.role_arn = role.role_arn
