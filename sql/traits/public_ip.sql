-- One row per way the service has a public address: the setting assignPublicIp, or an address on the interface that its
-- tasks use (the instance's in bridge and host mode). Addresses themselves change daily and are not evidence.
select distinct
    setting.resource_id, setting.account_id, setting.region,
    {'on': 'settings', 'assign_public_ip': true, 'address_family': null::varchar} as evidence
from (
    select resource_id, account_id, region, assign_public_ip from resources.service
    union
    select service.resource_id, service.account_id, service.region, deployment.assign_public_ip
    from snapshot.deployment as deployment
    join resources.service as service on service.resource_id = deployment.resource_id
    where deployment.status is distinct from 'INACTIVE'
) as setting
where setting.assign_public_ip
union
select
    attachment.resource_id, attachment.account_id, attachment.region,
    {'on': attachment.kind, 'assign_public_ip': null::boolean, 'address_family': 'IPv4'}
from resources.service_attachment as attachment
where attachment.has_public_ipv4 and attachment.kind <> 'settings'
union
select
    attachment.resource_id, attachment.account_id, attachment.region,
    {'on': attachment.kind, 'assign_public_ip': null::boolean, 'address_family': 'IPv6'}
from resources.service_attachment as attachment
where attachment.has_public_ipv6
