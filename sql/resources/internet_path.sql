-- One row per service × kind of way × container port: the surest and shortest path by which the internet reaches it today, hop by hop.
-- `unseen` is empty where the path is open; else it names what on it was not seen, and the path may be open or closed.
with balanced as (
    select
        target.resource_id, target.account_id, target.region, 'VIA_LOAD_BALANCER' as kind,
        target.container_name, target.container_port, target.first_port, target.last_port,
        [{'hop': 'internet', 'id': null::varchar, 'detail': null::varchar}] || entry.hops || target.hops as hops,
        target.needs_traits,
        entry.unseen || target.unseen as unseen,
        entry.looks_exposed,
        -- An application load balancer speaks HTTP only: it does not hand the internet a datastore's port.
        target.balancer_kind in ('network', 'classic') as hands_over_port
    from resources.balanced_admission as target
    join resources.balancer_entry as entry
        on entry.balancer_id = target.balancer_id
        and (len(entry.target_group_arns) = 0 or list_contains(entry.target_group_arns, target.target_group_arn))
        and (entry.instance_port is null or entry.instance_port between target.first_port and target.last_port)
),
-- A task on an instance that was not seen: nobody knows what reaches it.
placeless as (
    select distinct
        resource_id, account_id, region, 'DIRECT' as kind, null::varchar as container_name, null::bigint as container_port,
        0::bigint as first_port, 65535::bigint as last_port,
        [{'hop': 'internet', 'id': null::varchar, 'detail': null::varchar}, {'hop': 'interface', 'id': null, 'detail': kind}] as hops,
        []::varchar[] as needs_traits, ['the interface of its tasks'] as unseen, false as looks_exposed, false as hands_over_port
    from resources.service_attachment
    where subnet_id is null and kind = 'instance'
),
every as (
    from resources.direct_path union all from balanced union all from placeless
),
shortest as (
    select * from every
    qualify row_number() over (
        partition by resource_id, kind, needs_traits, container_name, container_port
        order by len(unseen), len(hops), looks_exposed desc, hops::varchar
    ) = 1
)
select
    shortest.resource_id, shortest.account_id, shortest.region, shortest.kind, shortest.container_name, shortest.hops,
    shortest.needs_traits, list_sort(list_distinct(shortest.unseen)) as unseen, shortest.looks_exposed, sensitive.port as sensitive_port
from shortest
left join reference.sensitive_ports as sensitive
    on shortest.hands_over_port
    and (sensitive.port = shortest.container_port or (shortest.first_port = shortest.last_port and sensitive.port = shortest.first_port))
