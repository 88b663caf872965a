-- One row per running digest × vulnerability × package (installed version and file apart), by the numbers of the image and of what is
-- said. Two findings for one such row (several platforms of an index) fold into the active, first one.
with manifest as (
    select image.image_id, manifest.*
    from resources.image_manifest as manifest
    join resources.image as image using (registry_account, region, repository_name, image_digest)
),
found as materialized (
    select manifest.image_id, report.report_number, finding.finding_arn
    from resources.package_finding as finding
    join manifest
        on manifest.registry_account = finding.account_id
        and manifest.region = finding.region
        and manifest.repository_name = finding.repository_name
        and manifest.manifest_digest = finding.image_digest
    join resources.package_report as report on report.said_hash = finding.said_hash and not report.is_kept
),
-- Digests with several findings for one row are few; looking for them is cheap, ordering all rows is not.
repeated as materialized (
    select distinct image_id
    from (
        select found.image_id, report.row_hash
        from found
        join resources.package_report as report using (report_number)
        group by all
        having count(*) > 1
    )
)
select image_id, report_number, finding_arn
from found
anti join repeated using (image_id)
union all
(
    select found.image_id, found.report_number, found.finding_arn
    from found
    semi join repeated using (image_id)
    join resources.package_report as report using (report_number)
    qualify row_number() over (partition by found.image_id, report.row_hash order by report.is_suppressed, found.finding_arn) = 1
)
union all
select kept.image_id, report.report_number, kept.finding_arn
from resources.kept_finding as kept
join resources.package_report as report on report.said_hash = kept.said_hash and report.is_kept
