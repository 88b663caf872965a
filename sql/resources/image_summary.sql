-- One row per running digest: its distinct vulnerabilities, those suppressed in Amazon Inspector and malicious packages apart. The named ones are
-- the first ten by what does not drift from day to day (KEV, base score, id).
with vulnerability as (
    select
        registry_account, region, repository_name, image_digest, vulnerability_id,
        bool_or(high_priority) as high_priority,
        bool_or(coalesce(kev, false)) as kev,
        max(coalesce(cvss_base_score, 0)) as cvss_base_score
    from resources.image_vulnerability
    where not is_suppressed and not is_malicious_package
    group by all
)
select
    registry_account, region, repository_name, image_digest,
    count(*) filter (where high_priority) as high_priority_count,
    count(*) filter (where not high_priority) as other_count,
    list_transform(
        list_sort(list((not kev, -cvss_base_score, vulnerability_id)) filter (where high_priority))[1:10], lambda item: item[3]
    ) as high_priority_ids,
    list_transform(
        list_sort(list((not kev, -cvss_base_score, vulnerability_id)) filter (where not high_priority))[1:10], lambda item: item[3]
    ) as other_ids
from vulnerability
group by all
