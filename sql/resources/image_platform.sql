-- One row per running digest with findings today or a known platform: its operating system, as Amazon Inspector writes it on each
-- finding. A digest never changes, so what was said once stays true when its findings are closed; an image that never had a
-- finding has no row, and its system is unknown.
with found as (
    select manifest.registry_account, manifest.region, manifest.repository_name, manifest.image_digest, min(finding.platform) as platform
    from resources.image_manifest as manifest
    join (
        select account_id, region, repository_name, image_digest, min(platform) as platform
        from snapshot.image_finding
        group by account_id, region, repository_name, image_digest
    ) as finding
        on finding.account_id = manifest.registry_account
        and finding.region = manifest.region
        and finding.repository_name = manifest.repository_name
        and finding.image_digest = manifest.manifest_digest
    group by all
),
before as (
    select registry_account, registry_region as region, repository_name, image_digest, min(platform) as platform
    from previous.service_image
    where platform is not null
    group by all
)
select
    registry_account, region, repository_name, image_digest,
    found.image_digest is not null as has_findings,
    coalesce(found.platform, before.platform) as platform
from found
full join before using (registry_account, region, repository_name, image_digest)
