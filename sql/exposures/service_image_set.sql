-- One row per service with images in ECR: the set of them. Services that run the same images share one set, so that
-- vulnerabilities are folded once per set and never meet services.
with service_images as (
    select
        service_image.resource_id,
        list_sort(list(distinct image.image_id)) as image_ids,
        bool_or(service_image.scan_status = 'scanned' or found.image_id is not null) as is_any_scanned
    from resources.service_image as service_image
    join resources.image as image
        on image.registry_account = service_image.registry_account
        and image.region = service_image.registry_region
        and image.repository_name = service_image.repository_name
        and image.image_digest = service_image.image_digest
    left join (select distinct image_id from resources.image_cve) as found on found.image_id = image.image_id
    group by service_image.resource_id
)
select service_images.*, numbered.image_set_id
from service_images
join (
    select image_ids, row_number() over (order by image_ids) as image_set_id
    from (select distinct image_ids from service_images)
) as numbered using (image_ids)
