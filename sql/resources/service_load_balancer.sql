-- One row per service × container × target group, with the load balancer in front of it where one was seen.
with named as (
    select resource_id, unnest(load_balancers, recursive := true) from resources.service
    union
    select resource_id, unnest(load_balancers, recursive := true)
    from snapshot.deployment
    where status is distinct from 'INACTIVE'
),
attached as (
    select target_group_arn, unnest(load_balancer_arns) as load_balancer_arn
    from snapshot.target_group
)
select
    service.resource_id, service.account_id, service.region,
    named.target_group_arn,
    named.container_name,
    named.container_port,
    balancer.load_balancer_arn,
    balancer.load_balancer_name,
    balancer.kind,
    balancer.scheme,
    balancer.state,
    coalesce(list_sort(balancer.security_group_ids), []) as security_group_ids
from named
join resources.service as service on service.resource_id = named.resource_id
left join attached on attached.target_group_arn = named.target_group_arn
left join snapshot.load_balancer as balancer on balancer.load_balancer_arn = attached.load_balancer_arn
