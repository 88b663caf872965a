-- One row per running image whose vulnerabilities nobody knows: outside ECR, its digest not resolved, never scanned, not
-- scannable, or no longer scanned. An image whose registry was not seen yet is unknown instead (the runner says so),
-- unless nobody ever will: a registry outside the scanned accounts.
select distinct
    image.resource_id, image.account_id, image.region,
    {'container': image.container_name, 'image': image.image, 'scan_status': image.scan_status} as evidence
from resources.service_image as image
left join (select distinct account_id, region from snapshot.coverage where dataset = 'image_coverage') as registry
    on registry.account_id = image.registry_account and registry.region = image.registry_region
where image.scan_status in ('not_in_ecr', 'never_scanned', 'no_longer_scanned', 'unsupported')
    or (image.scan_status = 'unknown' and (image.image_digest is null or registry.account_id is null))
