-- One row per subnet in use × entry of its network ACL, for the two protocols that carry payload, with ports and addresses as numbers.
-- An entry of another protocol decides nothing here. A shared subnet that two accounts report has one ACL.
with used as (
    select distinct subnet_id from resources.service_attachment
    union
    select distinct unnest(subnet_ids) from resources.balancer
),
entry as (
    select *
    from snapshot.network_acl_entry
    qualify row_number() over (
        partition by network_acl_id, is_egress, rule_number, cidr order by observed_date desc, account_id) = 1
),
associated as (
    select acl.subnet_id, min(acl.network_acl_id) as network_acl_id
    from (select distinct network_acl_id, unnest(subnet_ids) as subnet_id from snapshot.network_acl_entry) as acl
    join used on used.subnet_id = acl.subnet_id
    group by acl.subnet_id
)
select
    associated.subnet_id, entry.network_acl_id, entry.is_egress, entry.rule_number, entry.action = 'allow' as is_allow,
    protocol.protocol,
    coalesce(entry.from_port, 0) as from_port, coalesce(entry.to_port, 65535) as to_port,
    cidr.is_ipv6, cidr.first, cidr.last, cidr.public_first, cidr.public_last, cidr.whole, cidr.share
from associated
join entry on entry.network_acl_id = associated.network_acl_id
join (select unnest(['tcp', 'udp']) as protocol, unnest(['6', '17']) as number) as protocol
    on lower(entry.protocol) in ('-1', protocol.number, protocol.protocol)
join resources.cidr as cidr on cidr.cidr = entry.cidr
