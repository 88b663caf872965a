-- One row per definition in force with containers that may write to their own root file system (Security Hub control ECS.5:
-- readonlyRootFilesystem absent or false). Windows containers cannot have it read-only and are not told.
select
    container.resource_id, container.account_id, container.region,
    {
        'task_definition': container.task_definition_arn, 'containers': list_sort(list(container.container_name))
    } as evidence
from resources.container_in_force as container
where container.is_root_filesystem_read_only is not true and container.is_windows is not true
group by container.resource_id, container.account_id, container.region, container.task_definition_arn
