-- One row per service × task definition revision in force: the service's own, its deployments' and task sets', and
-- those of running tasks (a rollback or a stuck deployment runs revisions that the service no longer names).
-- A revision that was named but not described has is_seen false and NULL settings: unknown, not harmless.
-- is_fargate: everything known to run it is on Fargate, where no container has a host of ours (no privileged, host namespace, host
-- path or added capability but SYS_PTRACE). is_windows: its containers know no Linux capabilities, namespaces or read-only root.
with named as (
    select resource_id, task_definition_arn, launch_type
    from snapshot.service
    where task_definition_arn is not null
    union
    select resource_id, task_definition_arn, launch_type
    from snapshot.deployment
    where status is distinct from 'INACTIVE'
    union
    select resource_id, task_definition_arn, launch_type
    from snapshot.task
),
revision as (
    select resource_id, task_definition_arn, bool_and(launch_type = 'FARGATE') as is_fargate
    from named
    group by resource_id, task_definition_arn
)
select
    service.resource_id,
    service.account_id,
    service.region,
    service.launch_type,
    revision.task_definition_arn,
    definition.task_definition_arn is not null as is_seen,
    coalesce(revision.is_fargate, service.launch_type = 'FARGATE', false) as is_fargate,
    coalesce(starts_with(definition.operating_system_family, 'WINDOWS'), false) as is_windows,
    definition.family,
    definition.network_mode,
    definition.pid_mode,
    definition.ipc_mode,
    nullif(definition.task_role_arn, '') as task_role_arn,
    nullif(definition.execution_role_arn, '') as execution_role_arn
from revision
join resources.service as service on service.resource_id = revision.resource_id
left join snapshot.task_definition as definition on definition.task_definition_arn = revision.task_definition_arn
