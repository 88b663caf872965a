-- One row per service in force (a service ECS calls INACTIVE is deleted), with what names and routes it.
-- Dormant needs proof: a desired count nobody told us is not zero.
with running as (
    select resource_id, count(*) as task_count
    from snapshot.task
    group by resource_id
),
tag as (
    -- JSON pointer, because a tag's name may hold any character.
    select '/' || replace(replace(owner_tag, '~', '~0'), '/', '~1') as pointer, snapshot_date
    from run.day
)
select
    service.resource_id,
    service.account_id,
    service.region,
    service.observed_date,
    service.observed_date < tag.snapshot_date as is_carried,
    service.cluster_arn,
    service.cluster_name,
    service.service_name,
    service.launch_type,
    service.task_definition_arn,
    service.desired_count,
    coalesce(running.task_count, 0) as task_count,
    coalesce(service.desired_count = 0 and coalesce(service.running_count, 0) = 0 and running.task_count is null, false)
        as is_dormant,
    service.is_execute_command_enabled,
    service.assign_public_ip,
    service.subnet_ids,
    service.security_group_ids,
    service.load_balancers,
    service.tags,
    account.account_name,
    account.ou_path,
    coalesce(
        nullif(json_extract_string(service.tags, tag.pointer), ''),
        nullif(json_extract_string(cluster.tags, tag.pointer), ''),
        nullif(json_extract_string(account.tags, tag.pointer), '')
    ) as owner
from snapshot.service as service
cross join tag
left join running on running.resource_id = service.resource_id
left join snapshot.cluster as cluster on cluster.cluster_arn = service.cluster_arn
left join snapshot.account as account on account.account_id = service.account_id
where service.status is distinct from 'INACTIVE'
