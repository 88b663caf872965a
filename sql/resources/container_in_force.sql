-- One row per service × revision in force × container.
select
    definition.resource_id,
    definition.account_id,
    definition.region,
    definition.launch_type,
    definition.task_definition_arn,
    definition.network_mode,
    definition.is_fargate,
    definition.is_windows,
    container.container_name,
    container.image,
    container.is_privileged,
    container.user,
    container.is_root_filesystem_read_only,
    container.capabilities_added,
    container.capabilities_dropped,
    container.port_mappings,
    container.mount_points
from resources.task_definition_in_force as definition
join snapshot.container as container on container.task_definition_arn = definition.task_definition_arn
