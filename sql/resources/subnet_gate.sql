-- One row per subnet in use × address family × protocol × run of ports that the internet may use to come in, as far as routes
-- and network ACLs go; `unseen` names what was not seen on the way (a subnet without any row is closed).
-- The answer must be able to leave too: a network ACL has no memory, clients use ports from 1024 up.
with acl as (
    select distinct subnet_id, network_acl_id from resources.network_acl
),
used as (
    select distinct subnet_id from resources.service_attachment where subnet_id is not null
    union
    select distinct unnest(subnet_ids) from resources.balancer
),
answer as (
    select distinct network_acl_id, is_ipv6, protocol
    from resources.network_acl_opening
    where is_egress and to_port >= 1024
),
way as (
    select used.subnet_id, family.is_ipv6, way.way, way.may_be_excluded, way.is_endpoint, way.route_table_id, way.destination, way.target
    from used
    cross join (select unnest([false, true]) as is_ipv6) as family
    left join resources.subnet_way as way on way.subnet_id = used.subnet_id and way.is_ipv6 = family.is_ipv6
    where coalesce(way.way, 'unseen') in ('gateway', 'inspection', 'unseen')
)
select
    way.subnet_id, way.is_ipv6, protocol.protocol,
    coalesce(opening.from_port, 0) as from_port, coalesce(opening.to_port, 65535) as to_port,
    list_filter([
        case coalesce(way.way, 'unseen')
            when 'unseen' then 'the route table of ' || way.subnet_id
            when 'inspection' then 'what stands behind ' || way.target
        end,
        case when acl.network_acl_id is null then 'the network ACL of ' || way.subnet_id end,
        case when way.may_be_excluded then 'whether VPC Block Public Access excludes ' || way.subnet_id end
    ], lambda what: what is not null) as unseen,
    list_filter([
        case when way.way = 'gateway' then {'hop': 'internet gateway', 'id': way.target, 'detail': null::varchar} end,
        case when way.way = 'inspection' then {'hop': 'inspection endpoint', 'id': way.target, 'detail': null::varchar} end,
        case when way.way <> 'unseen' then {'hop': 'route', 'id': way.route_table_id, 'detail': way.destination} end,
        case when opening.rule_number is not null
            then {'hop': 'network ACL rule', 'id': acl.network_acl_id, 'detail': 'inbound rule ' || opening.rule_number} end
    ], lambda hop: hop is not null) as hops
from way
cross join (select unnest(['tcp', 'udp']) as protocol) as protocol
left join acl on acl.subnet_id = way.subnet_id
left join resources.network_acl_opening as opening
    on opening.network_acl_id = acl.network_acl_id and not opening.is_egress
    and opening.is_ipv6 = way.is_ipv6 and opening.protocol = protocol.protocol
where acl.network_acl_id is null
    or (opening.network_acl_id is not null and exists (
        select 1 from answer
        where answer.network_acl_id = acl.network_acl_id and answer.is_ipv6 = way.is_ipv6 and answer.protocol = protocol.protocol
    ))
