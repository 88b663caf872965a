-- One row per service × place where it touches the network, tasks folded (a service of 500 tasks in one subnet with one
-- set of groups is one row, and the row is the same tomorrow when the tasks are new):
--   task      the interface of running awsvpc tasks
--   instance  the interfaces of the instance that are not a task's, for running bridge and host tasks
--   settings  the awsvpc configuration, where no interface of a running task was seen
--   cluster   the instances of the cluster, where a bridge or host service runs nothing: it would start on one of them
-- An empty group list of the settings means the VPC's default group. A running task whose instance was not seen has no subnet.
with mode as (
    select task.resource_id, task.task_arn, task.network_interface_ids, task.container_instance_arn, definition.network_mode
    from snapshot.task as task
    left join snapshot.task_definition as definition on definition.task_definition_arn = task.task_definition_arn
),
task_interface as (
    select mode.resource_id, mode.network_mode, unnest(mode.network_interface_ids) as network_interface_id
    from mode
),
seen_interface as (
    select
        task_interface.resource_id, 'task' as kind, coalesce(task_interface.network_mode, 'awsvpc') as network_mode,
        interface.subnet_id, list_sort(interface.security_group_ids) as security_group_ids,
        interface.public_ip is not null as has_public_ipv4,
        len(list_filter(coalesce(interface.ipv6_addresses, []), lambda address: regexp_matches(address, '^[23]'))) > 0
            as has_public_ipv6
    from task_interface
    join snapshot.network_interface as interface on interface.network_interface_id = task_interface.network_interface_id
),
-- Of an instance's IPv6 addresses those of its awsvpc tasks are not its own.
instance_ipv6 as (
    select distinct interface.instance_id
    from snapshot.network_interface as interface
    where regexp_matches(array_to_string(interface.ipv6_addresses, ' '), '(^| )[23]')
        and interface.network_interface_id not in (
            select network_interface_id from task_interface where network_interface_id is not null
        )
),
instance_interface as (
    select
        instance.instance_id, instance.subnet_id, list_sort(instance.security_group_ids) as security_group_ids,
        instance.public_ip is not null as has_public_ipv4, instance_ipv6.instance_id is not null as has_public_ipv6
    from snapshot.instance as instance
    left join instance_ipv6 on instance_ipv6.instance_id = instance.instance_id
    union
    -- Further interfaces have groups, a subnet and an address of their own.
    select
        interface.instance_id, interface.subnet_id, list_sort(interface.security_group_ids), interface.public_ip is not null,
        regexp_matches(array_to_string(interface.ipv6_addresses, ' '), '(^| )[23]')
    from snapshot.network_interface as interface
    where interface.instance_id is not null and interface.subnet_id is not null and interface.network_interface_id not in (
        select network_interface_id from task_interface where network_interface_id is not null
    )
),
seen_instance as (
    select
        mode.resource_id, 'instance', mode.network_mode,
        instance.subnet_id, instance.security_group_ids, instance.has_public_ipv4, instance.has_public_ipv6
    from mode
    left join snapshot.container_instance as host on host.container_instance_arn = mode.container_instance_arn
    left join instance_interface as instance on instance.instance_id = host.ec2_instance_id
    where mode.network_mode in ('bridge', 'host')
),
seen_cluster as (
    select
        service.resource_id, 'cluster', definition.network_mode,
        instance.subnet_id, instance.security_group_ids, instance.has_public_ipv4, instance.has_public_ipv6
    from resources.service as service
    join resources.task_definition_in_force as definition
        on definition.resource_id = service.resource_id and definition.network_mode in ('bridge', 'host')
    join snapshot.container_instance as host on host.cluster_arn = service.cluster_arn
    join instance_interface as instance on instance.instance_id = host.ec2_instance_id
    where service.task_count = 0
),
configured as (
    select resource_id, assign_public_ip, subnet_ids, security_group_ids
    from resources.service
    where len(subnet_ids) > 0
    union
    select resource_id, assign_public_ip, subnet_ids, security_group_ids
    from snapshot.deployment
    where len(subnet_ids) > 0 and status is distinct from 'INACTIVE'
),
settings_subnet as (
    select resource_id, assign_public_ip, security_group_ids, unnest(subnet_ids) as subnet_id
    from configured
    where not exists (select 1 from seen_interface where seen_interface.resource_id = configured.resource_id)
),
settings as (
    select
        setting.resource_id, 'settings', 'awsvpc', setting.subnet_id,
        case
            when len(setting.security_group_ids) > 0 then list_sort(setting.security_group_ids)
            when vpc_default.group_id is not null then [vpc_default.group_id]
            else []::varchar[]
        end,
        coalesce(setting.assign_public_ip, false),
        false
    from settings_subnet as setting
    left join snapshot.subnet as subnet on subnet.subnet_id = setting.subnet_id
    left join snapshot.security_group as vpc_default
        on vpc_default.vpc_id = subnet.vpc_id and vpc_default.group_name = 'default'
),
attachment as (
    from seen_interface union all from seen_instance union all from seen_cluster union all from settings
)
select
    service.resource_id, service.account_id, service.region,
    attachment.kind, attachment.network_mode, attachment.subnet_id, attachment.security_group_ids,
    coalesce(bool_or(attachment.has_public_ipv4), false) as has_public_ipv4,
    coalesce(bool_or(attachment.has_public_ipv6), false) as has_public_ipv6
from attachment
join resources.service as service on service.resource_id = attachment.resource_id
group by all
