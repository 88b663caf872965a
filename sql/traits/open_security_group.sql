-- One row per security group in force on the service (its tasks' interface; the instance's in bridge and host mode; never
-- the balancer's) × inbound rule open to the internet.
select distinct
    attachment.resource_id, attachment.account_id, attachment.region,
    {
        'security_group': rule.group_id, 'on': attachment.kind, 'cidr': rule.cidr, 'prefix_list': rule.prefix_list_id,
        'protocol': rule.protocol, 'from_port': rule.from_port, 'to_port': rule.to_port
    } as evidence
from (
    select resource_id, account_id, region, kind, unnest(security_group_ids) as group_id
    from resources.service_attachment
) as attachment
join resources.open_rule as rule on rule.group_id = attachment.group_id
