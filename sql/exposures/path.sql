-- One row per way the internet reaches a service. The plain rule of this version:
--   DIRECT             a public address, on a subnet routed to an internet gateway, with a group open to the internet
--                      (the instance's address, subnet and groups in bridge and host mode)
--   VIA_LOAD_BALANCER  an internet-facing load balancer with a listener its groups let the internet reach, forwarding to a
--                      target group of the service; a network load balancer without groups admits everyone
-- Network ACLs, client IP preservation and what stands before an internal load balancer are not read.
-- A service whose network was never seen keeps the paths it last had.
with port as (
    select distinct
        container.resource_id, container.container_name, container.network_mode,
        mapping.container_port,
        nullif(mapping.host_port, 0) as host_port
    from resources.container_in_force as container, unnest(container.port_mappings) as mappings (mapping)
    union
    select
        container.resource_id, container.container_name, 'bridge', mapping.container_port, nullif(mapping.host_port, 0)
    from snapshot.task_container as container, unnest(container.network_bindings) as mappings (mapping)
),
direct as (
    select
        attachment.resource_id, attachment.account_id, attachment.region,
        attachment.kind, attachment.network_mode, attachment.subnet_id,
        rule.group_id, rule.from_port, rule.to_port,
        case when rule.is_ipv6 then subnet.ipv6_gateway else subnet.ipv4_gateway end as gateway
    from (select *, unnest(security_group_ids) as group_id from resources.service_attachment) as attachment
    join resources.subnet_exposure as subnet on subnet.subnet_id = attachment.subnet_id
    join resources.open_rule as rule on rule.group_id = attachment.group_id and rule.carries_payload
    where (not rule.is_ipv6 and attachment.has_public_ipv4 and subnet.ipv4_gateway is not null)
        or (rule.is_ipv6 and attachment.has_public_ipv6 and subnet.ipv6_gateway is not null)
),
direct_port as (
    select
        direct.*, port.container_name,
        sensitive.port as sensitive_port
    from direct
    left join port
        on port.resource_id = direct.resource_id
        and port.network_mode = direct.network_mode
        and case
            when direct.network_mode <> 'bridge' then port.container_port between direct.from_port and direct.to_port
            when port.host_port is not null then port.host_port between direct.from_port and direct.to_port
            -- A dynamic host port: Docker takes it from the ephemeral range.
            else direct.to_port >= 32768
        end
    left join reference.sensitive_ports as sensitive on sensitive.port in (port.container_port, port.host_port)
    -- Nothing answers on the host for a bridge container that publishes no port there.
    where direct.network_mode <> 'bridge' or port.resource_id is not null
),
direct_path as (
    select
        resource_id, account_id, region, 'DIRECT' as kind,
        ['internet', gateway, subnet_id, group_id, case kind when 'instance' then 'instance' else 'task' end] as hops,
        ['open_security_group', 'public_ip'] as needs_traits,
        list_sort(coalesce(list(distinct container_name) filter (where container_name is not null), [])) as container_names,
        list_sort(coalesce(list(distinct sensitive_port) filter (where sensitive_port is not null), [])) as sensitive_ports
    from direct_port
    group by all
),
balanced as (
    select
        balancer.*, listener.port as listener_port
    from resources.service_load_balancer as balancer
    join snapshot.listener as listener on listener.load_balancer_arn = balancer.load_balancer_arn
    where balancer.scheme = 'internet-facing'
        and balancer.state is distinct from 'failed'
        and (
            (balancer.kind = 'network' and len(balancer.security_group_ids) = 0)
            or exists (
                select 1
                from resources.open_rule as rule
                where list_contains(balancer.security_group_ids, rule.group_id)
                    and rule.carries_payload
                    and coalesce(listener.port, 0) between rule.from_port and rule.to_port
            )
        )
),
balanced_path as (
    select
        balanced.resource_id, balanced.account_id, balanced.region, 'VIA_LOAD_BALANCER' as kind,
        [
            'internet', balanced.load_balancer_name,
            'listener ' || array_to_string(list_sort(list(distinct balanced.listener_port)), ','),
            regexp_extract(balanced.target_group_arn, 'targetgroup/([^/]+)', 1),
            concat_ws(':', balanced.container_name, balanced.container_port)
        ] as hops,
        []::varchar[] as needs_traits,
        case when balanced.container_name is null then [] else [balanced.container_name] end as container_names,
        -- An application load balancer speaks HTTP only: it does not hand the internet a datastore's port.
        list_sort(coalesce(list(distinct sensitive.port) filter (where sensitive.port is not null), [])) as sensitive_ports
    from balanced
    left join reference.sensitive_ports as sensitive
        on sensitive.port = balanced.container_port and balanced.kind = 'network'
    group by
        balanced.resource_id, balanced.account_id, balanced.region, balanced.load_balancer_name, balanced.target_group_arn,
        balanced.container_name, balanced.container_port
),
found as (
    from direct_path union all from balanced_path
),
-- Groups and ports fold, so that a path keeps its id while rules inside it change.
path as (
    select
        resource_id, account_id, region, left(md5(to_json(hops)::varchar), 16) as path_id, kind,
        to_json(hops)::varchar as hops, needs_traits,
        list_sort(list_distinct(flatten(list(container_names)))) as container_names,
        list_sort(list_distinct(flatten(list(sensitive_ports)))) as sensitive_ports
    from found
    group by all
)
select * from path
union all
select
    before.resource_id, before.account_id, before.region, before.path_id, before.kind, before.hops, before.needs_traits,
    before.container_names, before.sensitive_ports
from previous.path as before
join exposures.service_sight as sight on sight.resource_id = before.resource_id and not sight.is_decided
where not exists (select 1 from path where path.resource_id = before.resource_id and path.path_id = before.path_id)
