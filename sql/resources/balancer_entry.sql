-- One row per listener of a load balancer that the internet reaches, or may reach, the surest and shortest way:
--   by itself          an internet-facing load balancer in a subnet with a way in, whose groups admit the listener's port (a network load
--                      balancer may have none); a group that admits CloudFront's own addresses admits anyone's distribution
--   through a front    CloudFront, API Gateway or Global Accelerator in front of an internal one
--   through another    an application load balancer that is the target of a network load balancer with an entry
with balancer as (
    select *, len(security_group_ids) = 0 and kind = 'network' as admits_all from resources.balancer
),
member as (
    select balancer_id, unnest(security_group_ids) as group_id from balancer
),
admitted as (
    select
        listener.balancer_id, listener.listener_arn, listener.port, listener.protocol, opening.is_ipv6, opening.unseen,
        [{'hop': 'security group rule', 'id': opening.group_id, 'detail': opening.label}] as hops, []::struct(hop varchar, id varchar, detail varchar)[] as front
    from resources.balancer_listener as listener
    join member on member.balancer_id = listener.balancer_id
    join resources.group_opening as opening
        on opening.group_id = member.group_id and opening.protocol in (listener.protocol, '-1')
        and listener.port between opening.from_port and opening.to_port
    union all
    select
        listener.balancer_id, listener.listener_arn, listener.port, listener.protocol, rule.is_ipv6, [],
        [{'hop': 'security group rule', 'id': rule.group_id, 'detail': rule.label}],
        [{'hop': 'CloudFront', 'id': rule.prefix_list_id, 'detail': 'any distribution, of any account'}]
    from resources.balancer_listener as listener
    join member on member.balancer_id = listener.balancer_id
    join resources.group_rule as rule
        on rule.group_id = member.group_id and rule.protocol in (listener.protocol, '-1')
        and regexp_matches(rule.prefix_list_name, '^com\.amazonaws\.global\.(ipv6\.)?cloudfront\.origin-facing$')
        and listener.port between rule.from_port and rule.to_port
    union all
    select listener.balancer_id, listener.listener_arn, listener.port, listener.protocol, family.is_ipv6, [], [], []
    from resources.balancer_listener as listener
    join balancer on balancer.balancer_id = listener.balancer_id and balancer.admits_all
    cross join (select unnest([false, true]) as is_ipv6) as family
),
facing as (
    select
        admitted.balancer_id, admitted.listener_arn, admitted.port, admitted.protocol,
        admitted.front || gate.hops || admitted.hops as hops,
        admitted.unseen || gate.unseen as unseen, true as looks_exposed
    from (select *, unnest(subnet_ids) as subnet_id from balancer where scheme = 'internet-facing') as balancer
    join admitted on admitted.balancer_id = balancer.balancer_id
        and case when admitted.is_ipv6 then balancer.has_ipv6 else balancer.has_ipv4 end
    join resources.subnet_gate as gate
        on gate.subnet_id = balancer.subnet_id and gate.is_ipv6 = admitted.is_ipv6 and gate.protocol = admitted.protocol
        and admitted.port between gate.from_port and gate.to_port
),
placeless as (
    select listener.balancer_id, listener.listener_arn, listener.port, listener.protocol, [], ['the subnets of ' || load_balancer_name], true
    from balancer
    join resources.balancer_listener as listener on listener.balancer_id = balancer.balancer_id
    where scheme = 'internet-facing' and len(subnet_ids) = 0
),
fronted as (
    select
        front.balancer_id, listener.listener_arn, listener.port, listener.protocol,
        front.hops || coalesce(admitted.hops, []), front.unseen || coalesce(admitted.unseen, []), len(front.unseen) = 0
    from resources.balancer_front as front
    join balancer on balancer.balancer_id = front.balancer_id
    join resources.balancer_listener as listener
        on listener.balancer_id = front.balancer_id and (front.listener_arn is null or listener.listener_arn is not distinct from front.listener_arn)
    -- A front that hides the client brings its own addresses, which the load balancer's owner lets in.
    left join admitted
        on front.preserves_client_ip and admitted.balancer_id = listener.balancer_id
        and admitted.listener_arn is not distinct from listener.listener_arn
    where not front.preserves_client_ip or admitted.balancer_id is not null
),
first_hand as (
    select * from (from facing union all from placeless union all from fronted)
    qualify row_number() over (
        partition by balancer_id, listener_arn, port, protocol order by len(unseen), len(hops), looks_exposed desc, hops::varchar
    ) = 1
),
told as (
    select
        first_hand.*, listener.target_group_arns, listener.instance_port,
        first_hand.hops || [
            {'hop': 'load balancer', 'id': balancer.load_balancer_name, 'detail': balancer.kind || ', ' || coalesce(balancer.scheme, 'scheme unknown')},
            {'hop': 'listener', 'id': first_hand.port || '/' || first_hand.protocol, 'detail': null}
        ] as all_hops,
        balancer.security_group_ids
    from first_hand
    join balancer on balancer.balancer_id = first_hand.balancer_id
    join resources.balancer_listener as listener
        on listener.balancer_id = first_hand.balancer_id and listener.listener_arn is not distinct from first_hand.listener_arn
        and listener.port is not distinct from first_hand.port
),
-- A network load balancer always passes the client's address on to an application load balancer.
chained as (
    select
        behind.balancer_id, listener.listener_arn, listener.port, listener.protocol,
        told.all_hops || coalesce(admitted.hops, [{'hop': 'security group rule', 'id': rule.group_id, 'detail': rule.label}]) as hops,
        told.unseen || coalesce(admitted.unseen, []) as unseen, told.looks_exposed
    from told
    join (select distinct target_group_arn, unnest(load_balancer_arns) as balancer_id from snapshot.target_group) as attached
        on attached.balancer_id = told.balancer_id
        and (len(told.target_group_arns) = 0 or list_contains(told.target_group_arns, attached.target_group_arn))
    join (select distinct target_group_arn, target_id, port from snapshot.target) as target
        on target.target_group_arn = attached.target_group_arn
    join balancer as behind on behind.balancer_id = target.target_id
    join resources.balancer_listener as listener
        on listener.balancer_id = behind.balancer_id and listener.port is not distinct from coalesce(target.port, listener.port)
    left join admitted
        on admitted.balancer_id = behind.balancer_id and admitted.listener_arn is not distinct from listener.listener_arn
        and len(admitted.front) = 0
    left join (
        select member.balancer_id, rule.group_id, rule.referenced_group_id, rule.from_port, rule.to_port, rule.label
        from member
        join resources.group_rule as rule on rule.group_id = member.group_id and rule.protocol in ('tcp', '-1')
        where rule.referenced_group_id is not null
    ) as rule
        on rule.balancer_id = behind.balancer_id and listener.port between rule.from_port and rule.to_port
        and list_contains(told.security_group_ids, rule.referenced_group_id)
    where admitted.balancer_id is not null or rule.group_id is not null
),
every as (
    select balancer_id, listener_arn, port, protocol, hops, unseen, looks_exposed, target_group_arns, instance_port, all_hops from told
    union all
    select
        chained.balancer_id, chained.listener_arn, chained.port, chained.protocol, chained.hops, chained.unseen, chained.looks_exposed,
        [], null,
        chained.hops || [
            {'hop': 'load balancer', 'id': balancer.load_balancer_name, 'detail': balancer.kind || ', ' || coalesce(balancer.scheme, 'scheme unknown')},
            {'hop': 'listener', 'id': chained.port || '/' || chained.protocol, 'detail': null}
        ]
    from chained
    join balancer on balancer.balancer_id = chained.balancer_id
)
select balancer_id, listener_arn, port, protocol, target_group_arns, instance_port, all_hops as hops, unseen, looks_exposed
from every
qualify row_number() over (
    partition by balancer_id, listener_arn, port, protocol order by len(unseen), len(all_hops), looks_exposed desc, all_hops::varchar
) = 1
