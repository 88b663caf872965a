-- One row per service × reason its compromise would cost more than Low, with the traits the reason needs: it is gone when
-- any of them is. "Unknown" is a role or definition that was named but could not be read.
with escape as (
    select distinct resource_id, 'privileged container on a host of ours' as reason, ['task_definition_privileged'] as needs_traits
    from resources.container_in_force
    where is_privileged and is_fargate is not true and is_windows is not true
    union
    -- Unmounting the socket takes it away, and so does unmounting every host path.
    select resource_id, case place when 'runtime_socket' then 'container runtime socket' else 'writable host path ' || host_path end,
        case place when 'runtime_socket' then ['container_runtime_socket_mounted', 'root_filesystem_access'] else ['root_filesystem_access'] end
    from resources.host_mount
    where is_escape_place
    union
    select resource_id, 'Linux capability ' || capability, ['dangerous_linux_capability']
    from resources.dangerous_capability
    where is_host_escape
    union
    select capability.resource_id, 'host process namespace with SYS_PTRACE', ['dangerous_linux_capability', 'host_process_namespace']
    from resources.dangerous_capability as capability
    join resources.task_definition_in_force as definition using (resource_id, task_definition_arn)
    where definition.pid_mode = 'host' and capability.capability = 'SYS_PTRACE'
),
reason as (
    select resource_id, 'High' as impact, 'host escape: ' || reason as reason, needs_traits from escape
    union all
    select distinct resource_id, 'High',
        case source when 'task_role' then 'the task role allows administration'
        else 'the instance role, reachable through the instance metadata, allows administration' end,
        case source when 'task_role' then ['administrative_access_policy'] else [] end
    from resources.service_role
    where is_administrator
    union all
    select distinct resource_id, 'High', 'the instance role, reachable through the instance metadata, can make itself administrator', []::varchar[]
    from resources.service_role
    where source = 'instance_role' and is_effective_administrator and not is_administrator
    union all
    -- From identity policies (docs/adr/0007): some paths end in administration, the others cost more than nothing.
    select resource_id,
        case when bool_or(grants_administration) then 'High' else 'Medium' end,
        'the task role ' || case when bool_or(grants_administration) then 'can make itself administrator' else 'can go further' end
            || ' (' || replace(replace(trait, 'has_', ''), '_', ' ') || ')',
        [trait]
    from resources.service_path
    group by resource_id, trait
    union all
    select resource_id, 'Medium', 'cleartext credentials', ['cleartext_credentials']
    from traits.all
    where trait = 'cleartext_credentials' and state = 'hit'
    union all
    -- An administrator's whole services are part of the same permissions: narrowing them takes both away.
    select distinct resource_id, 'Medium', 'the task role administers whole services (' || array_to_string(service_wildcards[1:5], ', ') || ')',
        case when is_administrator then ['administrative_access_policy', 'service_administrative_policy'] else ['service_administrative_policy'] end
    from resources.service_role
    where source = 'task_role' and len(service_wildcards) > 0
    union all
    select distinct resource_id, 'Unknown', 'the task role could not be read', ['iam_role_assumable']
    from resources.service_role
    where source = 'task_role' and not is_seen
    union all
    select distinct resource_id, 'Unknown', 'a task definition in force could not be read', []::varchar[]
    from resources.task_definition_in_force
    where not is_seen
)
select service.account_id, service.region, reason.resource_id, reason.impact, reason.reason, list_sort(reason.needs_traits) as needs_traits
from reason
join resources.service as service on service.resource_id = reason.resource_id
