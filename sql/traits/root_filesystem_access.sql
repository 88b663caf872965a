-- One row per host path that a container in force mounts. `place` says what the path gives away (the host's root, a
-- container runtime's socket, /etc, /proc, /sys, /var/lib or other).
select
    mount.resource_id, mount.account_id, mount.region,
    {
        'task_definition': mount.task_definition_arn, 'container': mount.container_name,
        'host_path': mount.host_path, 'container_path': mount.container_path,
        'is_writable': mount.is_writable, 'place': mount.place
    } as evidence
from resources.host_mount as mount
