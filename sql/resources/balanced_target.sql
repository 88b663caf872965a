-- One row per service × load balancer × target group × container port × place where its tasks touch the network: what the load balancer
-- sends to, on which ports, and whether the target sees the client's address (`preserves_client_ip`, NULL when not seen).
with attribute as (
    select target_group_arn, bool_or(preserves_client_ip) as preserves_client_ip
    from snapshot.target_group_attribute
    group by target_group_arn
),
kind as (
    select target_group_arn, any_value(upper(protocol) order by protocol) as protocol from snapshot.target_group group by target_group_arn
)
select distinct
    named.resource_id, named.account_id, named.region, named.source, named.balancer_id, named.kind, named.security_group_ids as balancer_group_ids,
    named.target_group_arn, coalesce(port.container_name, named.container_name) as container_name,
    coalesce(port.container_port, named.container_port) as container_port,
    case when kind.protocol in ('UDP', 'QUIC') then 'udp' else 'tcp' end as protocol,
    -- With nothing declared the target group's port is the one.
    case when port.container_port is null then named.container_port else port.first_port end as first_port,
    case when port.container_port is null then named.container_port else port.last_port end as last_port,
    case
        when named.kind <> 'network' then false
        -- Cannot be switched off for these.
        when kind.protocol in ('UDP', 'TCP_UDP', 'QUIC', 'TCP_QUIC') then true
        else attribute.preserves_client_ip
    end as preserves_client_ip,
    attachment.kind as attachment_kind, attachment.network_mode, attachment.subnet_id, attachment.security_group_ids
from resources.service_load_balancer as named
join resources.service_attachment as attachment on attachment.resource_id = named.resource_id
left join resources.service_port as port
    on port.resource_id = named.resource_id and port.network_mode = attachment.network_mode
    and port.container_port = named.container_port
    and (named.container_name is null or port.container_name = named.container_name)
left join kind on kind.target_group_arn = named.target_group_arn
left join attribute on attribute.target_group_arn = named.target_group_arn
where named.balancer_id is not null
