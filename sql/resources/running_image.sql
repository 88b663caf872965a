-- One row per service × container × image × digest that counts as running: what running tasks run; for a service with
-- nothing running, what it ran within the last seven days, and what its definitions would start if it wants tasks.
-- The digest is the task's, else the one in the reference, else the one ECR has the tag on; NULL when none tells.
with seen as (
    select
        container.resource_id, container.container_name, container.image, container.image_digest,
        true as is_running, container.observed_date as last_running_date, container.observed_date
    from snapshot.task_container as container
),
idle as (
    select service.* from resources.service as service
    where not exists (select 1 from seen where seen.resource_id = service.resource_id)
),
wanted as (
    select
        container.resource_id, container.container_name, container.image, null::varchar as image_digest,
        false as is_running, null::date as last_running_date, idle.observed_date
    from idle
    join resources.container_in_force as container on container.resource_id = idle.resource_id
    where idle.desired_count is distinct from 0
),
remembered as (
    select
        before.resource_id, before.container_name, before.image, before.image_digest,
        false as is_running, before.last_running_date, before.last_running_date as observed_date
    from previous.service_image as before
    join idle on idle.resource_id = before.resource_id
    cross join run.day as day
    where before.last_running_date >= day.snapshot_date - 7
),
named as (
    from seen union all from wanted union all from remembered
),
-- Registry hosts: https://docs.aws.amazon.com/AmazonECR/latest/userguide/Registries.html (dual-stack and FIPS included).
parsed as (
    select
        image,
        regexp_extract(
            trim(image),
            '^([0-9]{12})\.dkr[.-]ecr(?:-fips)?\.([a-z0-9-]+)\.(?:amazonaws\.com(?:\.cn)?|on\.(?:aws|amazonwebservices\.com\.cn))/([a-z0-9][a-z0-9._/-]*)(?::([A-Za-z0-9_][A-Za-z0-9_.-]*))?(?:@(sha256:[0-9a-f]{64}))?$',
            ['registry_account', 'registry_region', 'repository_name', 'tag', 'digest']
        ) as part
    from (select distinct image from named where image is not null)
),
tagged as (
    select account_id, region, repository_name, unnest(image_tags) as tag, image_digest
    from snapshot.image
),
tag_digest as (
    select account_id, region, repository_name, tag, min(image_digest) as image_digest
    from tagged
    group by all
),
resolved as (
    select
        service.resource_id, service.account_id, service.region,
        named.container_name,
        coalesce(named.image, '') as image,
        coalesce(named.image_digest, nullif(parsed.part.digest, ''), tag_digest.image_digest) as image_digest,
        nullif(parsed.part.registry_account, '') as registry_account,
        nullif(parsed.part.registry_region, '') as registry_region,
        nullif(parsed.part.repository_name, '') as repository_name,
        named.is_running, named.last_running_date, named.observed_date
    from named
    join resources.service as service on service.resource_id = named.resource_id
    left join parsed on parsed.image = named.image
    left join tag_digest
        on tag_digest.account_id = parsed.part.registry_account
        and tag_digest.region = parsed.part.registry_region
        and tag_digest.repository_name = parsed.part.repository_name
        and tag_digest.tag = coalesce(nullif(parsed.part.tag, ''), 'latest')
        and named.image_digest is null
        and parsed.part.digest = ''
)
select
    resource_id, account_id, region, container_name, image, image_digest,
    registry_account, registry_region, repository_name,
    bool_or(is_running) as is_running,
    max(last_running_date) as last_running_date,
    max(observed_date) as observed_date
from resolved
group by all
