-- One row per load balancer without an address of its own on the internet × what carries the internet to it, or may: CloudFront, API Gateway,
-- Global Accelerator. `unseen` is filled where that was not seen in the balancer's account and Region, or cannot be told.
with internal as (
    select * from resources.balancer where scheme is distinct from 'internet-facing'
),
named as (
    -- Another account's distribution can use an origin that is shared with it.
    select 'CloudFront distribution' as front, origin.front_id, user.front_name, origin.endpoint_arn, false as preserves_client_ip
    from (select distinct front_id, endpoint_arn from snapshot.vpc_origin where endpoint_arn is not null) as origin
    join (select distinct front_id, front_name from snapshot.vpc_origin where front_name is not null) as user
        on user.front_id = origin.front_id
    union all
    select 'API Gateway VPC link', front_id, front_name, endpoint_arn, false from snapshot.vpc_link
    union all
    select 'Global Accelerator', front_id, front_name, endpoint_arn, coalesce(preserves_client_ip, false)
    from snapshot.accelerator_endpoint
),
needed as (
    select
        internal.balancer_id, front.name, coalesce(bool_or(coverage.status in ('ok', 'not_enabled') or coverage.observed_date is not null), false)
            as is_seen
    from internal
    cross join (
        select
            unnest(['vpc_origin', 'vpc_link', 'accelerator_endpoint']) as dataset,
            unnest(['CloudFront VPC origins', 'API Gateway VPC links', 'Global Accelerator endpoints']) as name
    ) as front
    left join snapshot.coverage as coverage
        on coverage.account_id = internal.account_id and coverage.dataset = front.dataset
        and coverage.region = case when front.dataset = 'vpc_link' then internal.region else 'global' end
    group by internal.balancer_id, front.name
),
link_vpc as (
    select distinct link.front_id, link.front_name, subnet.vpc_id
    from (select *, unnest(subnet_ids) as subnet_id from snapshot.vpc_link where endpoint_arn is null) as link
    join snapshot.subnet as subnet on subnet.subnet_id = link.subnet_id
),
-- A network load balancer before an application load balancer: which one, only the registered targets tell.
hidden_chain as (
    select distinct internal.balancer_id, tg.target_group_arn
    from internal
    join snapshot.target_group as tg
        on tg.target_type = 'alb' and tg.account_id = internal.account_id and tg.region = internal.region and len(tg.load_balancer_arns) > 0
    left join snapshot.coverage as coverage
        on coverage.account_id = tg.account_id and coverage.region = tg.region and coverage.dataset = 'target'
    where internal.kind = 'application' and coverage.observed_date is null
),
inspected as (
    select internal.balancer_id, min(way.target) as target
    from (select balancer_id, unnest(subnet_ids) as subnet_id from internal) as internal
    join resources.subnet_way as way on way.subnet_id = internal.subnet_id and way.is_endpoint and way.way = 'inspection'
    group by internal.balancer_id
)
select distinct
    internal.balancer_id, listener.listener_arn, named.preserves_client_ip,
    [{'hop': named.front, 'id': named.front_id, 'detail': named.front_name}] as hops, []::varchar[] as unseen
from internal
left join resources.balancer_listener as listener on listener.balancer_id = internal.balancer_id
join named on named.endpoint_arn in (internal.balancer_id, listener.listener_arn)
union all
select balancer_id, null, false, [{'hop': 'unseen', 'id': null, 'detail': null}], list_sort(list(name))
from needed
where not is_seen
group by balancer_id
union all
select internal.balancer_id, null, false, [{'hop': 'API Gateway VPC link', 'id': link_vpc.front_id, 'detail': link_vpc.front_name}],
    ['what the VPC link ' || link_vpc.front_id || ' leads to']
from internal
join link_vpc on link_vpc.vpc_id = internal.vpc_id
union all
select balancer_id, null, false, [{'hop': 'inspection endpoint', 'id': target, 'detail': null}], ['what stands behind ' || target]
from inspected
union all
select balancer_id, null, false, [{'hop': 'load balancer', 'id': regexp_extract(target_group_arn, 'targetgroup/([^/]+)', 1), 'detail': null}],
    ['the targets of ' || regexp_extract(target_group_arn, 'targetgroup/([^/]+)', 1)]
from hidden_chain
