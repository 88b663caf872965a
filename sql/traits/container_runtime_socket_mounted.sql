-- One row per mount in force of a container runtime's socket (docker, containerd, CRI-O, podman, the Windows pipe), or of a folder
-- that holds it: whoever can write to it starts containers on the host, also through a read-only mount.
select
    mount.resource_id, mount.account_id, mount.region,
    {
        'task_definition': mount.task_definition_arn, 'container': mount.container_name,
        'host_path': mount.host_path, 'container_path': mount.container_path
    } as evidence
from resources.host_mount as mount
where mount.place = 'runtime_socket'
