-- One row per service × container × target group (or Classic Load Balancer) × load balancer that forwards to it. `source` says how we
-- know: `service` (the service names it), `target` (another owner registered the address of a task's interface), `ambiguous` (that
-- address exists more than once in the organisation).
with named as (
    select resource_id, unnest(load_balancers, recursive := true) from resources.service
    union
    select resource_id, unnest(load_balancers, recursive := true)
    from snapshot.deployment
    where status is distinct from 'INACTIVE'
),
attached as (
    select distinct target_group_arn, unnest(load_balancer_arns) as balancer_id
    from snapshot.target_group
),
-- An address inside the target group's own VPC is that VPC's; any other can be anybody's.
registered as (
    select
        target.target_group_arn, target.target_id, target.port, interface.network_interface_id, interface.vpc_id = tg.vpc_id as is_local
    from snapshot.target as target
    join snapshot.target_group as tg on tg.target_group_arn = target.target_group_arn and tg.target_type = 'ip'
    join (select distinct network_interface_id, vpc_id, private_ip from snapshot.network_interface) as interface
        on interface.private_ip = target.target_id
    qualify is_local or not coalesce(bool_or(is_local) over (partition by target.target_group_arn, target.target_id), false)
),
owned as (
    select registered.*, count(*) over (partition by target_group_arn, target_id, port) > 1 as is_ambiguous
    from registered
),
task_interface as (
    select distinct resource_id, unnest(network_interface_ids) as network_interface_id from snapshot.task
),
forwarding as (
    select
        service.resource_id, service.account_id, service.region, 'service' as source,
        named.target_group_arn, named.container_name, named.container_port,
        coalesce(attached.balancer_id, classic.balancer_id) as balancer_id
    from named
    join resources.service as service on service.resource_id = named.resource_id
    left join attached on attached.target_group_arn = named.target_group_arn
    left join resources.balancer as classic
        on named.target_group_arn is null and classic.kind = 'classic' and classic.load_balancer_name = named.load_balancer_name
        and classic.account_id = service.account_id and classic.region = service.region
    union
    select
        service.resource_id, service.account_id, service.region, case when owned.is_ambiguous then 'ambiguous' else 'target' end,
        owned.target_group_arn, null, owned.port, attached.balancer_id
    from owned
    join task_interface on task_interface.network_interface_id = owned.network_interface_id
    join resources.service as service on service.resource_id = task_interface.resource_id
    join attached on attached.target_group_arn = owned.target_group_arn
)
select
    forwarding.resource_id, forwarding.account_id, forwarding.region, forwarding.source,
    forwarding.target_group_arn, forwarding.container_name, forwarding.container_port,
    balancer.balancer_id, balancer.account_id as balancer_account_id,
    balancer.load_balancer_name, balancer.kind, balancer.scheme,
    coalesce(balancer.security_group_ids, []) as security_group_ids
from forwarding
left join resources.balancer as balancer on balancer.balancer_id = forwarding.balancer_id
