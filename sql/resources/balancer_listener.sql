-- One row per listener of a load balancer, with the transport its clients speak. `target_group_arns` is empty where any target group
-- of the load balancer may be meant: an application load balancer's rules are not read.
select
    listener.load_balancer_arn as balancer_id, listener.listener_arn, listener.port,
    case when contains(coalesce(listener.protocol, 'TCP'), 'UDP') or listener.protocol = 'QUIC' then 'udp' else 'tcp' end as protocol,
    case when balancer.kind = 'network' then coalesce(listener.target_group_arns, []) else [] end as target_group_arns,
    null::bigint as instance_port
from snapshot.listener as listener
join resources.balancer as balancer on balancer.balancer_id = listener.load_balancer_arn
union all
select
    'classic/' || account_id || '/' || region || '/' || load_balancer_name, null, item.port, 'tcp', [], item.instance_port
from snapshot.classic_load_balancer, unnest(listeners) as items (item)
