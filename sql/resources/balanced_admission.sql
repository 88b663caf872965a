-- One row per service × load balancer × target group × container port whose tasks admit what the load balancer forwards, or may. Three kinds
-- of rule do: one that names a group of the load balancer, one that holds addresses of its subnets, and, where the client's
-- address is passed on, one open to the internet, for then the client is who knocks.
with target as (
    select *, unnest(security_group_ids) as group_id from resources.balanced_target
),
near as (
    select balancer.balancer_id, balancer.subnet_id, min(cidr.first) as first, min(cidr.last) as last
    from (
        select balancer_id, unnest(case when len(subnet_ids) = 0 then [null] else subnet_ids end) as subnet_id from resources.balancer
    ) as balancer
    left join snapshot.subnet as subnet on subnet.subnet_id = balancer.subnet_id
    left join resources.cidr as cidr on cidr.cidr = subnet.cidr
    group by balancer.balancer_id, balancer.subnet_id
),
by_group as (
    select
        target.* exclude (security_group_ids), near.subnet_id as near_id, rule.label,
        case when not rule.is_seen then ['the entries of ' || rule.prefix_list_id] else [] end as unseen,
        []::varchar[] as needs_traits
    from target
    join near on near.balancer_id = target.balancer_id
    join resources.group_rule as rule
        on rule.group_id = target.group_id and rule.protocol in (target.protocol, '-1')
        and rule.from_port <= target.last_port and rule.to_port >= target.first_port
    where list_contains(target.balancer_group_ids, rule.referenced_group_id)
        or not rule.is_seen
        or (target.preserves_client_ip is distinct from true and not rule.is_ipv6 and rule.first <= near.last and rule.last >= near.first)
),
-- The addresses of a load balancer in a subnet nobody saw may be in any range.
by_unseen_subnet as (
    select
        target.* exclude (security_group_ids), near.subnet_id, rule.label, ['the addresses of ' || coalesce(near.subnet_id, 'its load balancer')], []::varchar[]
    from target
    join near on near.balancer_id = target.balancer_id and near.first is null
    join resources.group_rule as rule
        on rule.group_id = target.group_id and rule.protocol in (target.protocol, '-1') and rule.first is not null
        and rule.from_port <= target.last_port and rule.to_port >= target.first_port
    where target.preserves_client_ip is distinct from true
),
by_client as (
    select
        target.* exclude (security_group_ids), null as near_id, opening.label, opening.unseen || gate.unseen, ['open_security_group']
    from target
    join resources.group_opening as opening
        on opening.group_id = target.group_id and opening.protocol in (target.protocol, '-1') and not opening.is_ipv6
        and opening.from_port <= target.last_port and opening.to_port >= target.first_port
    -- The client is who the target's network ACL sees as well.
    join (
        select distinct subnet_id, protocol, from_port, to_port, []::varchar[] as unseen
        from (
            select acl.subnet_id, opening.protocol, opening.from_port, opening.to_port
            from (select distinct subnet_id, network_acl_id from resources.network_acl) as acl
            join resources.network_acl_opening as opening
                on opening.network_acl_id = acl.network_acl_id and not opening.is_egress and not opening.is_ipv6
            where exists (
                select 1 from resources.network_acl_opening as answer
                where answer.network_acl_id = acl.network_acl_id and answer.is_egress and not answer.is_ipv6
                    and answer.protocol = opening.protocol and answer.to_port >= 1024
            )
        )
        union all
        select distinct target.subnet_id, protocol.protocol, 0, 65535, ['the network ACL of ' || target.subnet_id]
        from resources.balanced_target as target
        cross join (select unnest(['tcp', 'udp']) as protocol) as protocol
        where target.subnet_id is not null and not exists (
            select 1 from resources.network_acl as acl where acl.subnet_id = target.subnet_id
        )
    ) as gate
        on gate.subnet_id = target.subnet_id and gate.protocol = target.protocol
        and gate.from_port <= target.last_port and gate.to_port >= target.first_port
    where target.preserves_client_ip is distinct from false
),
every as (
    select
        found.* exclude (unseen),
        found.unseen
        || case when found.preserves_client_ip is null and not found.is_either then ['whether its network load balancer passes client addresses on'] else [] end
        || case when found.near_id is not null and between.is_open is null then ['the network ACLs on its way'] else [] end
        || case when found.source = 'ambiguous' then ['which of several interfaces has the registered address'] else [] end as unseen
    from (
        -- A rule that names the load balancer's group admits it whoever the client is.
        select *, label like '% from sg-%' as is_either from by_group
        union all select *, false from by_unseen_subnet
        union all select *, false from by_client
    ) as found
    left join resources.network_acl_between as between
        on between.near_id = found.near_id and between.far_id = found.subnet_id and between.protocol = found.protocol
        and between.first_port is not distinct from found.first_port and between.last_port is not distinct from found.last_port
    where found.near_id is null or between.is_open is distinct from false
)
select
    resource_id, account_id, region, balancer_id, kind as balancer_kind, target_group_arn, container_name, container_port,
    first_port, last_port, needs_traits, unseen,
    [
        {'hop': 'target group', 'id': coalesce(regexp_extract(target_group_arn, 'targetgroup/([^/]+)', 1), 'registered instances'), 'detail': null::varchar},
        {'hop': 'security group rule', 'id': group_id, 'detail': label},
        {'hop': 'interface', 'id': subnet_id, 'detail': attachment_kind},
        {'hop': 'container port', 'id': coalesce(container_name, 'any'), 'detail': container_port || '/' || protocol}
    ] as hops
from every
qualify row_number() over (
    partition by resource_id, balancer_id, target_group_arn, container_name, container_port
    order by len(unseen), len(needs_traits), group_id, label, subnet_id, near_id
) = 1
