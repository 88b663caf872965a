-- One row per service × revision in force × container × mounted host path. A host path no container mounts is no row, and on
-- Fargate there is none.
-- place says what the path gives away; is_escape_place marks those from which writing takes over the host. A runtime
-- socket is one even read-only: a read-only mount does not stop writing to a socket.
with mount as (
    select
        container.resource_id,
        container.account_id,
        container.region,
        container.launch_type,
        container.task_definition_arn,
        container.container_name,
        unnest(container.mount_points, recursive := true)
    from resources.container_in_force as container
    where container.is_fargate is not true
),
path as (
    select
        mount.* exclude (read_only),
        not coalesce(mount.read_only, false) as is_writable,
        volume.host_path,
        -- `//var//run/` and `/var/run` are one path; a Windows pipe keeps its shape because it is matched as written.
        coalesce(nullif(rtrim(regexp_replace(volume.host_path, '/+', '/', 'g'), '/'), ''), '/') as plain_path
    from mount
    join snapshot.volume as volume
        on volume.task_definition_arn = mount.task_definition_arn and volume.volume_name = mount.source_volume
    where trim(volume.host_path) <> ''
),
placed as (
    select
        *,
        case
            when plain_path = '/' then 'root'
            when regexp_matches(lower(plain_path), '(docker|dockershim|containerd|crio|cri-dockerd|podman)\.sock$')
                or plain_path in ('/run', '/var/run', '/run/docker', '/run/containerd', '/run/crio', '/run/podman',
                                  '/var/run/docker', '/var/run/containerd', '/var/run/crio', '/var/run/podman')
                or regexp_matches(replace(lower(host_path), '\', '/'), 'pipe/(docker_engine|containerd)') then 'runtime_socket'
            when regexp_matches(plain_path, '^/etc(/|$)') then 'etc'
            when regexp_matches(plain_path, '^/proc(/|$)') then 'proc'
            when regexp_matches(plain_path, '^/sys(/|$)') then 'sys'
            -- /var holds /var/lib.
            when regexp_matches(plain_path, '^/var($|/lib(/|$))') then 'var_lib'
            else 'other'
        end as place
    from path
)
select
    resource_id,
    account_id,
    region,
    launch_type,
    task_definition_arn,
    container_name,
    container_path,
    host_path,
    is_writable,
    place,
    case place
        when 'runtime_socket' then true
        when 'root' then is_writable
        when 'proc' then is_writable
        when 'sys' then is_writable
        -- One harmless file under /etc or one application's folder under /var/lib is not the host.
        when 'etc' then is_writable and regexp_matches(
            plain_path, '^/etc($|/(cron[^/]*|ssh|sudoers[^/]*|systemd|passwd|shadow|group|pam\.d|ld\.so[^/]*|profile[^/]*|init\.d|rc[^/]*|docker|ecs|containerd)(/|$))')
        when 'var_lib' then is_writable and regexp_matches(
            plain_path, '^/var$|^/var/lib($|/(docker|containerd|crio|containers|kubelet|ecs|cloud|systemd)(/|$))')
        else false
    end as is_escape_place
from placed
