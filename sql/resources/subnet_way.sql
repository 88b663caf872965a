-- One row per subnet × address family: where its default route leads, that is where at least half of the internet is routed,
-- more specific routes taken off. The table is the one associated with the subnet, else the VPC's main one.
--   gateway     an internet gateway
--   inspection  a firewall or gateway load balancer endpoint, or an appliance's interface: what lies behind is not seen
--   blocked     VPC Block Public Access keeps inbound traffic out, whatever the route; `may_be_excluded` when nobody saw from what
--               it excludes: then the way is told as if it blocked nothing
--   none        neither (NAT, transit gateway, peering, blackhole …)
--   unseen      no route table of the subnet was seen (a shared subnet's main table)
-- A shared subnet that two accounts report is one subnet.
with route as (
    select route_table_id, vpc_id, is_main, subnet_ids, destination, target, state
    from snapshot.route
    qualify row_number() over (partition by route_table_id, destination order by observed_date desc, account_id) = 1
),
associated as (
    select subnet_id, min(route_table_id) as route_table_id
    from (select distinct route_table_id, unnest(subnet_ids) as subnet_id from route)
    group by subnet_id
),
main as (
    select vpc_id, min(route_table_id) as route_table_id from route where is_main group by vpc_id
),
wide as (
    select
        route.route_table_id, route.destination, route.target, cidr.is_ipv6, cidr.public_first, cidr.public_last, cidr.whole,
        case
            when route.state = 'blackhole' then 'none'
            when route.target like 'igw-%' then 'gateway'
            when regexp_matches(route.target, '^(vpce|eni|i)-') then 'inspection'
            else 'none'
        end as way
    from route
    join resources.cidr as cidr on cidr.cidr = route.destination and cidr.share >= 1.0 / 4096
),
inner_route as (
    select
        wide.route_table_id, wide.destination,
        greatest(0, other.public_last - greatest(other.public_first, 1 + coalesce(max(other.public_last) over (
            partition by wide.route_table_id, wide.destination order by other.public_first, other.public_last desc, other.destination
            rows between unbounded preceding and 1 preceding), -1)) + 1) / wide.whole as takes
    from wide
    join wide as other
        on other.route_table_id = wide.route_table_id and other.is_ipv6 = wide.is_ipv6 and other.destination <> wide.destination
        and other.public_first >= wide.public_first and other.public_last <= wide.public_last
),
way as (
    select
        wide.route_table_id, wide.is_ipv6, wide.way,
        sum((wide.public_last - wide.public_first + 1) / wide.whole - coalesce(taken.takes, 0)) as share,
        min({'destination': wide.destination, 'target': wide.target}) as shown,
        bool_or(wide.target like 'vpce-%') as is_endpoint
    from wide
    left join (
        select route_table_id, destination, sum(takes) as takes from inner_route group by route_table_id, destination
    ) as taken on taken.route_table_id = wide.route_table_id and taken.destination = wide.destination
    where wide.way <> 'none'
    group by wide.route_table_id, wide.is_ipv6, wide.way
    having share >= 0.5
),
-- Both hold half: the gateway is what is certain.
led as (
    select * from way qualify row_number() over (partition by route_table_id, is_ipv6 order by way) = 1
),
subnet as (
    select
        subnet.subnet_id, min(subnet.vpc_id) as vpc_id,
        coalesce(bool_or(internet_gateway_block_mode in ('block-bidirectional', 'block-ingress')), false)
            and not coalesce(bool_or(exclusion.exclusion_id is not null), false) as is_blocked,
        -- Which of several accounts owns the VPC, and with it the exclusions, is not told: all must have seen theirs.
        bool_and(coverage.observed_date is not null) as is_exclusion_seen
    from snapshot.subnet as subnet
    left join snapshot.block_public_access_exclusion as exclusion
        on exclusion.mode = 'allow-bidirectional' and (exclusion.subnet_id = subnet.subnet_id or exclusion.vpc_id = subnet.vpc_id)
    left join snapshot.coverage as coverage
        on coverage.account_id = subnet.account_id and coverage.region = subnet.region
        and coverage.dataset = 'block_public_access_exclusion'
    group by subnet.subnet_id
)
select
    subnet.subnet_id, family.is_ipv6, subnet.vpc_id,
    case
        when subnet.is_blocked and subnet.is_exclusion_seen then 'blocked'
        when coalesce(associated.route_table_id, main.route_table_id) is null then 'unseen'
        else coalesce(led.way, 'none')
    end as way,
    subnet.is_blocked as may_be_excluded,
    coalesce(led.is_endpoint, false) as is_endpoint,
    coalesce(associated.route_table_id, main.route_table_id) as route_table_id,
    led.shown.destination as destination,
    led.shown.target as target
from subnet
cross join (select unnest([false, true]) as is_ipv6) as family
left join associated on associated.subnet_id = subnet.subnet_id
left join main on main.vpc_id = subnet.vpc_id
left join led
    on led.route_table_id = coalesce(associated.route_table_id, main.route_table_id) and led.is_ipv6 = family.is_ipv6
