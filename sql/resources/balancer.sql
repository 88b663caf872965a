-- One row per load balancer of any kind, its id an ARN; a Classic Load Balancer's is made up of what ECS knows it by.
select
    load_balancer_arn as balancer_id, account_id, region, load_balancer_name, kind, scheme,
    coalesce(subnet_ids, []) as subnet_ids, coalesce(list_sort(security_group_ids), []) as security_group_ids, vpc_id,
    coalesce(ip_address_type, 'ipv4') <> 'dualstack-without-public-ipv4' as has_ipv4,
    starts_with(coalesce(ip_address_type, 'ipv4'), 'dualstack') as has_ipv6
from snapshot.load_balancer
where state is distinct from 'failed'
union all
select
    'classic/' || account_id || '/' || region || '/' || load_balancer_name, account_id, region, load_balancer_name, 'classic', scheme,
    coalesce(subnet_ids, []), coalesce(list_sort(security_group_ids), []), vpc_id, true, false
from snapshot.classic_load_balancer
