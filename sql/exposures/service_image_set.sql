-- One row per service with images in ECR: the set of them. Services that run the same images share one set, so that
-- vulnerabilities are folded once per set and never meet services.
select
    service_image.resource_id,
    list_sort(list(distinct image.image_id)) as image_ids,
    md5(array_to_string(list_sort(list(distinct image.image_id)), ',')) as image_set_id,
    bool_or(service_image.scan_status = 'scanned' or found.image_id is not null) as is_any_scanned
from resources.service_image as service_image
join exposures.image as image
    on image.registry_account = service_image.registry_account
    and image.region = service_image.registry_region
    and image.repository_name = service_image.repository_name
    and image.image_digest = service_image.image_digest
left join (
    select image.image_id
    from exposures.image as image
    join resources.image_summary as summary using (registry_account, region, repository_name, image_digest)
) as found on found.image_id = image.image_id
group by service_image.resource_id
