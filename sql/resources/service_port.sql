-- One row per service × network mode × container port × run of ports of the interface on which it answers:
--   awsvpc, host  the container's port
--   bridge        the host port bound; before any is bound the one defined, or the range Docker takes a dynamic one from
-- Where no container declares a port, nobody knows which its process opens: one row without container, for all ports. In bridge mode
-- nothing answers on the host then.
with declared as (
    select distinct
        container.resource_id, container.network_mode, container.container_name, mapping.container_port,
        nullif(mapping.host_port, 0) as host_port, coalesce(lower(mapping.protocol), 'tcp') as protocol
    from resources.container_in_force as container, unnest(container.port_mappings) as mappings (mapping)
    where mapping.container_port is not null
),
bound as (
    select distinct
        container.resource_id, container.container_name, binding.container_port, binding.host_port,
        coalesce(lower(binding.protocol), 'tcp') as protocol
    from snapshot.task_container as container, unnest(container.network_bindings) as bindings (binding)
    where binding.host_port > 0
)
select distinct
    resource_id, network_mode, container_name, container_port, protocol, container_port as first_port, container_port as last_port
from declared
where network_mode in ('awsvpc', 'host')
union
select resource_id, 'bridge', container_name, container_port, protocol, host_port, host_port
from bound
union
select resource_id, network_mode, container_name, container_port, protocol, coalesce(host_port, 32768), coalesce(host_port, 65535)
from declared
where network_mode = 'bridge' and not exists (
    select 1 from bound
    where bound.resource_id = declared.resource_id and bound.container_name = declared.container_name
        and bound.container_port = declared.container_port
)
union
select distinct resource_id, network_mode, null, null, unnest(['tcp', 'udp']), 0, 65535
from resources.service_attachment as attachment
where network_mode in ('awsvpc', 'host') and not exists (
    select 1 from declared
    where declared.resource_id = attachment.resource_id and declared.network_mode = attachment.network_mode
)
