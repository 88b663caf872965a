-- One row per service × container port that the internet reaches, or may reach, at a public address of the interface itself: an address,
-- a route to an internet gateway, a network ACL and a group that let it in. Of several ways the surest and shortest stands.
with address as (
    select *, unnest(security_group_ids) as group_id
    from (
        select *, false as is_ipv6 from resources.service_attachment where has_public_ipv4
        union all
        select *, true from resources.service_attachment where has_public_ipv6
    )
),
reached as (
    select
        address.resource_id, address.account_id, address.region, address.kind, address.subnet_id,
        port.container_name, port.container_port, port.protocol, port.first_port, port.last_port,
        opening.group_id, opening.label,
        opening.unseen || gate.unseen as unseen, gate.hops as gate_hops, address.is_ipv6
    from address
    join resources.group_opening as opening on opening.group_id = address.group_id and opening.is_ipv6 = address.is_ipv6
    join resources.service_port as port
        on port.resource_id = address.resource_id and port.network_mode = address.network_mode
        and opening.protocol in (port.protocol, '-1')
        and opening.from_port <= port.last_port and opening.to_port >= port.first_port
    join resources.subnet_gate as gate
        on gate.subnet_id is not distinct from address.subnet_id and gate.is_ipv6 = address.is_ipv6 and gate.protocol = port.protocol
        and gate.from_port <= least(port.last_port, opening.to_port) and gate.to_port >= greatest(port.first_port, opening.from_port)
    qualify row_number() over (
        partition by address.resource_id, port.container_name, port.container_port, port.protocol
        order by len(opening.unseen) + len(gate.unseen), address.is_ipv6, address.kind, address.subnet_id, opening.group_id, opening.label,
            gate.from_port
    ) = 1
)
select
    resource_id, account_id, region, 'DIRECT' as kind, container_name, container_port, first_port, last_port,
    [{'hop': 'internet', 'id': case when is_ipv6 then 'IPv6' else 'IPv4' end, 'detail': null::varchar}]
    || gate_hops
    || [
        {'hop': 'security group rule', 'id': group_id, 'detail': label},
        {'hop': 'interface', 'id': subnet_id, 'detail': kind},
        {
            'hop': 'container port', 'id': coalesce(container_name, 'any'),
            'detail': coalesce(container_port || '/' || protocol, 'none declared: whichever the process opens')
        }
    ] as hops,
    -- A list nobody saw is not known to be open: taking the trait away takes nothing from this path.
    case when len(unseen) > 0 and unseen[1] like 'the entries of%' then ['public_ip'] else ['open_security_group', 'public_ip'] end
        as needs_traits,
    unseen, true as looks_exposed, true as hands_over_port
from reached
