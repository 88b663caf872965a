-- One row per service × container × digest that counts as running, with what is known of the image's vulnerabilities.
select
    image.resource_id, image.account_id, image.region,
    image.container_name, image.image, image.image_digest,
    image.registry_account, image.registry_region, image.repository_name,
    case
        when image.registry_account is null then 'not_in_ecr'
        when image.image_digest is null then 'unknown'
        else scan.scan_status
    end as scan_status,
    platform.platform,
    image.is_running,
    image.last_running_date,
    image.observed_date < day.snapshot_date as is_carried,
    image.observed_date
from resources.running_image as image
cross join run.day as day
left join resources.image_scan as scan
    on scan.registry_account = image.registry_account
    and scan.region = image.registry_region
    and scan.repository_name = image.repository_name
    and scan.image_digest = image.image_digest
left join resources.image_platform as platform
    on platform.registry_account = image.registry_account
    and platform.region = image.registry_region
    and platform.repository_name = image.repository_name
    and platform.image_digest = image.image_digest
