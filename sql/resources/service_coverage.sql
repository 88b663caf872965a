-- One row per service × dataset: was what concerns this service seen today, and of which day are the rows in force?
-- Datasets of a Region are the service's own; IAM's are its account's; those of images are the registries' of its images
-- (the worst of several). Something named but not found or not readable makes its dataset `failed` for this service alone. What cannot
-- concern the service (instances of a Fargate service, roles where no task role is named) has no row.
with coverage as (
    select account_id, region, dataset, status, observed_date from snapshot.coverage
),
listed as (
    select distinct group_id from resources.group_rule where prefix_list_id is not null
),
balanced as (
    select
        named.resource_id,
        bool_or(named.source = 'service' and named.target_group_arn is not null) as is_named,
        bool_or(named.source = 'service' and named.target_group_arn is null) as is_classic,
        bool_or(named.kind = 'network') as is_network,
        bool_or(named.balancer_id is not null and named.scheme is distinct from 'internet-facing') as is_internal,
        bool_or(listed.group_id is not null) as names_prefix_list
    from resources.service_load_balancer as named
    left join listed on list_contains(named.security_group_ids, listed.group_id)
    group by named.resource_id
),
attached as (
    select
        attachment.resource_id,
        bool_or(attachment.has_public_ipv4 or attachment.has_public_ipv6) as has_public_address,
        bool_or(listed.group_id is not null) as names_prefix_list
    from (
        select *, unnest(case when len(security_group_ids) = 0 then [null] else security_group_ids end) as group_id
        from resources.service_attachment
    ) as attachment
    left join listed on listed.group_id = attachment.group_id
    group by attachment.resource_id
),
shape as (
    select
        service.resource_id,
        coalesce(bool_or(definition.network_mode in ('bridge', 'host')), false) as uses_instance_network,
        -- A revision that was not described may name a role: then the roles concern the service.
        coalesce(bool_or(definition.task_role_arn is not null or not definition.is_seen), true) as may_have_role,
        coalesce(bool_or(definition.task_role_arn is not null or definition.execution_role_arn is not null or not definition.is_seen), true)
            as may_have_any_role,
        coalesce(any_value(balanced.is_named), false) as has_load_balancer,
        coalesce(any_value(balanced.is_classic), false) as has_classic_load_balancer,
        coalesce(any_value(balanced.is_network), false) as has_network_load_balancer,
        coalesce(any_value(balanced.is_internal), false) as has_internal_load_balancer,
        coalesce(any_value(attached.has_public_address), false) as has_public_address,
        coalesce(any_value(attached.names_prefix_list), false) or coalesce(any_value(balanced.names_prefix_list), false)
            as names_prefix_list
    from resources.service as service
    left join balanced on balanced.resource_id = service.resource_id
    left join attached on attached.resource_id = service.resource_id
    left join resources.task_definition_in_force as definition on definition.resource_id = service.resource_id
    group by service.resource_id
),
regional as (
    select service.resource_id, coverage.dataset, coverage.status, coverage.observed_date
    from resources.service as service
    join shape on shape.resource_id = service.resource_id
    join coverage on coverage.account_id = service.account_id and coverage.region = service.region
    where case
        when coverage.dataset in ('container_instance', 'instance') then shape.uses_instance_network
        when coverage.dataset in ('load_balancer', 'listener', 'target_group') then shape.has_load_balancer
        when coverage.dataset = 'classic_load_balancer' then shape.has_classic_load_balancer
        when coverage.dataset = 'target_group_attribute' then shape.has_network_load_balancer
        when coverage.dataset = 'vpc_link' then shape.has_internal_load_balancer
        when coverage.dataset = 'prefix_list_entry' then shape.names_prefix_list
        -- Where there is no way in, no network ACL needs to be asked.
        when coverage.dataset in ('network_acl_entry', 'block_public_access_exclusion')
            then shape.has_public_address or shape.has_load_balancer or shape.has_classic_load_balancer
        else coverage.dataset in (
            'cluster', 'service', 'deployment', 'task', 'task_container', 'task_definition', 'container', 'volume', 'credential',
            'security_group', 'security_group_rule', 'network_interface', 'subnet', 'route')
    end
),
global as (
    select service.resource_id, coverage.dataset, coverage.status, coverage.observed_date
    from resources.service as service
    join shape on shape.resource_id = service.resource_id
    join coverage on coverage.account_id = service.account_id and coverage.region = 'global'
    -- Read with the others, role_trust stands for what concerns task role and execution role alike.
    where case when coverage.dataset = 'role_trust' then shape.may_have_any_role
        else coverage.dataset in ('role', 'role_statement') and shape.may_have_role end
    union all
    -- Not offered in the partition: then there is none.
    select service.resource_id, coverage.dataset, case coverage.status when 'not_enabled' then 'ok' else coverage.status end, coverage.observed_date
    from resources.service as service
    join shape on shape.resource_id = service.resource_id and shape.has_internal_load_balancer
    join coverage on coverage.account_id = service.account_id and coverage.region = 'global'
    where coverage.dataset in ('vpc_origin', 'accelerator_endpoint')
),
registry as (
    select distinct resource_id, registry_account, registry_region
    from resources.service_image
    where registry_account is not null
),
registries as (
    -- A registry nobody asked (outside the scanned accounts) has no coverage row.
    select registry.resource_id, needed.dataset, coalesce(coverage.status, 'excluded') as status, coverage.observed_date
    from registry
    cross join (select unnest(['image', 'image_coverage', 'image_finding']) as dataset) as needed
    left join coverage
        on coverage.account_id = registry.registry_account
        and coverage.region = registry.registry_region
        and coverage.dataset = needed.dataset
),
-- A digest's own carried rows are older than its registry's answer.
carried as (
    select
        image.resource_id, 'image_finding' as dataset, 'ok' as status, min(vulnerability.observed_date) as observed_date
    from resources.service_image as image
    join (
        select image.registry_account, image.region, image.repository_name, image.image_digest, row.observed_date
        from (
            select row.image_id, min(package.observed_date) as observed_date
            from resources.image_report as row
            join resources.package_vulnerability as package using (report_number)
            where package.is_carried
            group by row.image_id
        ) as row
        join resources.image as image using (image_id)
    ) as vulnerability
        on vulnerability.registry_account = image.registry_account
        and vulnerability.region = image.registry_region
        and vulnerability.repository_name = image.repository_name
        and vulnerability.image_digest = image.image_digest
    group by image.resource_id
),
missing as (
    select resource_id, unnest(['task_definition', 'container', 'volume', 'credential']) as dataset, 'failed' as status, null::date as observed_date
    from resources.task_definition_in_force
    where not is_seen
    union all
    -- With nothing running, only the definition tells what would be.
    select definition.resource_id, 'task_container', 'failed', null
    from resources.task_definition_in_force as definition
    join resources.service as service on service.resource_id = definition.resource_id
    where not definition.is_seen and service.task_count = 0 and service.desired_count is distinct from 0
    union all
    select resource_id, unnest(['role', 'role_statement', 'role_trust']), 'failed', null
    from resources.service_role
    where source = 'task_role' and not is_seen
    union all
    select definition.resource_id, 'role_trust', 'failed', null
    from resources.task_definition_in_force as definition
    left join resources.role_permission as permission on permission.role_arn = definition.execution_role_arn
    where definition.execution_role_arn is not null and not coalesce(permission.is_readable, false)
),
seen as (
    from regional union all from global union all from registries union all from carried union all from missing
)
select
    resource_id,
    dataset,
    coalesce(min(status) filter (where status <> 'ok'), 'ok') as status,
    min(observed_date) as observed_date
from seen
group by resource_id, dataset
