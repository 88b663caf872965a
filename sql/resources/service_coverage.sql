-- One row per service × dataset: was what concerns this service seen today, and of which day are the rows in force?
-- Datasets of a Region are the service's own; IAM's are its account's; those of images are the registries' of its images
-- (the worst of several). Something named but not found or not readable makes its dataset `failed` for this service alone. What cannot
-- concern the service (instances of a Fargate service, roles where no task role is named) has no row.
with coverage as (
    select account_id, region, dataset, status, observed_date from snapshot.coverage
),
shape as (
    select
        service.resource_id,
        coalesce(bool_or(definition.network_mode in ('bridge', 'host')), false) as uses_instance_network,
        -- A revision that was not described may name a role: then the roles concern the service.
        coalesce(bool_or(definition.task_role_arn is not null or not definition.is_seen), true) as may_have_role,
        coalesce(bool_or(definition.task_role_arn is not null or definition.execution_role_arn is not null or not definition.is_seen), true)
            as may_have_any_role,
        exists (select 1 from resources.service_load_balancer as named where named.resource_id = service.resource_id)
            as has_load_balancer
    from resources.service as service
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
        select registry_account, region, repository_name, image_digest, min(observed_date) as observed_date
        from resources.image_vulnerability
        where is_carried
        group by all
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
