-- One row per subnet: whether packets from the internet arrive there. The route table is the one associated with the
-- subnet, else the VPC's main one; VPC Block Public Access wins over both. Network ACLs are not read yet, so a subnet
-- is at most called more reachable than it is.
with explicit as (
    select distinct route_table_id, unnest(subnet_ids) as subnet_id
    from snapshot.route
),
main as (
    select vpc_id, min(route_table_id) as route_table_id
    from snapshot.route
    where is_main
    group by vpc_id
),
gateway as (
    select
        route_table_id,
        min(target) filter (where position(':' in destination) = 0) as ipv4_gateway,
        min(target) filter (where position(':' in destination) > 0) as ipv6_gateway
    from snapshot.route
    where target like 'igw-%'
        and state is distinct from 'blackhole'
        and destination in ('0.0.0.0/0', '0.0.0.0/1', '128.0.0.0/1', '::/0', '2000::/3')
    group by route_table_id
)
select
    subnet.subnet_id,
    case when is_blocked then null else ipv4_gateway end as ipv4_gateway,
    case when is_blocked then null else ipv6_gateway end as ipv6_gateway
from (
    select *, coalesce(internet_gateway_block_mode in ('block-bidirectional', 'block-ingress'), false) as is_blocked
    from snapshot.subnet
) as subnet
left join (select subnet_id, min(route_table_id) as route_table_id from explicit group by subnet_id) as explicit
    on explicit.subnet_id = subnet.subnet_id
left join main on main.vpc_id = subnet.vpc_id
left join gateway on gateway.route_table_id = coalesce(explicit.route_table_id, main.route_table_id)
