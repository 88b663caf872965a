-- One row per subnet of a load balancer × subnet of its targets × protocol × run of ports: do the network ACLs of both let requests and
-- answers pass (`is_open`; NULL where one was not seen)? Inside one subnet no network ACL is asked.
with pair as (
    select distinct balancer.subnet_id as near_id, target.subnet_id as far_id, target.protocol, target.first_port, target.last_port
    from resources.balanced_target as target
    join (select balancer_id, unnest(subnet_ids) as subnet_id from resources.balancer) as balancer on balancer.balancer_id = target.balancer_id
    where target.subnet_id is not null
),
asked as (
    select near_id, far_id, protocol, first_port, last_port, unnest([
        {'subnet_id': near_id, 'peer_id': far_id, 'is_egress': true, 'from_port': first_port, 'to_port': last_port},
        {'subnet_id': far_id, 'peer_id': near_id, 'is_egress': false, 'from_port': first_port, 'to_port': last_port},
        {'subnet_id': far_id, 'peer_id': near_id, 'is_egress': true, 'from_port': 1024, 'to_port': 65535},
        {'subnet_id': near_id, 'peer_id': far_id, 'is_egress': false, 'from_port': 1024, 'to_port': 65535}
    ], recursive := true)
    from pair
    where near_id <> far_id
),
question as (
    select distinct asked.subnet_id, asked.peer_id, asked.is_egress, asked.protocol, asked.from_port, asked.to_port, peer.first, peer.last
    from asked
    left join (
        select subnet.subnet_id, cidr.first, cidr.last
        from (select distinct subnet_id, cidr from snapshot.subnet) as subnet
        join resources.cidr as cidr on cidr.cidr = subnet.cidr
    ) as peer on peer.subnet_id = asked.peer_id
),
seen as (
    select distinct subnet_id from resources.network_acl
),
-- What an allow lets through of the peer's addresses and the ports asked, unless a lower rule denies all of that.
passed as (
    select distinct question.subnet_id, question.peer_id, question.is_egress, question.protocol, question.from_port, question.to_port
    from question
    join resources.network_acl as allow
        on allow.subnet_id = question.subnet_id and allow.is_egress = question.is_egress and allow.protocol = question.protocol
        and allow.is_allow and not allow.is_ipv6 and allow.first <= question.last and allow.last >= question.first
        and allow.from_port <= question.to_port and allow.to_port >= question.from_port
    anti join resources.network_acl as deny
        on deny.subnet_id = question.subnet_id and deny.is_egress = question.is_egress and deny.protocol = question.protocol
        and not deny.is_allow and not deny.is_ipv6 and deny.rule_number < allow.rule_number
        and deny.first <= greatest(allow.first, question.first) and deny.last >= least(allow.last, question.last)
        and deny.from_port <= greatest(allow.from_port, question.from_port) and deny.to_port >= least(allow.to_port, question.to_port)
),
answered as (
    select
        asked.near_id, asked.far_id, asked.protocol, asked.first_port, asked.last_port,
        case
            when seen.subnet_id is null or question.first is null then null
            else passed.subnet_id is not null
        end as is_open
    from asked
    join question
        on question.subnet_id = asked.subnet_id and question.peer_id = asked.peer_id and question.is_egress = asked.is_egress
        and question.protocol = asked.protocol and question.from_port is not distinct from asked.from_port
        and question.to_port is not distinct from asked.to_port
    left join seen on seen.subnet_id = asked.subnet_id
    left join passed
        on passed.subnet_id = asked.subnet_id and passed.peer_id = asked.peer_id and passed.is_egress = asked.is_egress
        and passed.protocol = asked.protocol and passed.from_port = asked.from_port and passed.to_port = asked.to_port
)
select
    near_id, far_id, protocol, first_port, last_port,
    case when bool_or(not is_open) then false when bool_or(is_open is null) then null else true end as is_open
from answered
group by near_id, far_id, protocol, first_port, last_port
union all
select near_id, far_id, protocol, first_port, last_port, true
from pair
where near_id = far_id
