-- One row per inbound rule through which the internet can send payload, or may: `unseen` names the prefix list whose entries nobody saw.
select distinct
    group_id, protocol, from_port, to_port, is_ipv6, label, []::varchar[] as unseen
from resources.open_rule
where carries_payload
union all
select distinct
    rule.group_id, rule.protocol, rule.from_port, rule.to_port, family.is_ipv6, rule.label, ['the entries of ' || rule.prefix_list_id]
from resources.group_rule as rule
cross join (select unnest([false, true]) as is_ipv6) as family
where not rule.is_seen and rule.protocol in ('-1', 'tcp', 'udp')
