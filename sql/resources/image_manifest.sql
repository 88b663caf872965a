-- One row per running ECR digest × manifest whose findings count for it: itself, and the platform manifests of an index
-- (ECS reports the index's digest, Amazon Inspector the platform's).
with running as (
    select distinct registry_account, registry_region as region, repository_name, image_digest
    from resources.running_image
    where registry_account is not null and image_digest is not null
)
select *, image_digest as manifest_digest from running
union
select running.*, unnest(image.platform_digests) as manifest_digest
from running
join snapshot.image as image
    on image.account_id = running.registry_account
    and image.region = running.region
    and image.repository_name = running.repository_name
    and image.image_digest = running.image_digest
