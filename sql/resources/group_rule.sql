-- One row per inbound rule × address range it admits, of the groups on services' interfaces and on load balancers. Prefix
-- lists are laid out; one whose entries were not seen has is_seen false and no range: it may admit anything.
-- Protocol is tcp, udp, -1 (all), or what else the rule says. A shared group that two accounts report is one group.
with used as (
    select distinct unnest(security_group_ids) as group_id from resources.service_attachment
    union
    select distinct unnest(security_group_ids) from resources.balancer
),
rule as (
    select distinct
        rule.group_id,
        case lower(rule.protocol) when '6' then 'tcp' when '17' then 'udp' else lower(rule.protocol) end as protocol,
        coalesce(rule.from_port, 0) as from_port, coalesce(rule.to_port, 65535) as to_port,
        rule.cidr, rule.prefix_list_id, rule.referenced_group_id
    from snapshot.security_group_rule as rule
    join used on used.group_id = rule.group_id
    where not rule.is_egress
),
list as (
    select distinct prefix_list_id, prefix_list_name, cidr from snapshot.prefix_list_entry
)
select
    rule.group_id, rule.protocol, rule.from_port, rule.to_port,
    coalesce(rule.cidr, list.cidr) as cidr,
    rule.prefix_list_id, list.prefix_list_name, rule.referenced_group_id,
    rule.prefix_list_id is null or list.prefix_list_id is not null as is_seen,
    cidr.is_ipv6, cidr.first, cidr.last, cidr.public_first, cidr.public_last, cidr.whole, coalesce(cidr.share, 0.0) as share, cidr.is_unroutable,
    case rule.protocol when '-1' then 'all' else rule.protocol end || case
        when rule.protocol not in ('tcp', 'udp') then ''
        when rule.from_port = rule.to_port then ' ' || rule.from_port
        else ' ' || rule.from_port || '-' || rule.to_port
    end || ' from ' || coalesce(rule.cidr, rule.prefix_list_id, rule.referenced_group_id, '?') as label
from rule
left join list on list.prefix_list_id = rule.prefix_list_id
left join resources.cidr as cidr on cidr.cidr = coalesce(rule.cidr, list.cidr)
