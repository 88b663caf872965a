-- One row per running digest of a registry, numbered: the number stands for the four names where millions of rows meet.
select
    row_number() over (order by registry_account, region, repository_name, image_digest) as image_id,
    registry_account, region, repository_name, image_digest, scan_status, sees_all_packages
from resources.image_scan
