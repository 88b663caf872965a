-- One row per running digest: its distinct vulnerabilities, those suppressed in Amazon Inspector apart. The named ones are
-- the first ten by what does not drift from day to day (KEV, base score, id).
with ranked as (
    select
        report_set, vulnerability_number, high_priority,
        row_number() over (order by not kev, -coalesce(cvss_base_score, 0), vulnerability_number, report_set) as turn
    from resources.report_set
),
counted as (
    select
        cve.image_id,
        count(*) filter (where ranked.high_priority) as high_priority_count,
        count(*) filter (where not ranked.high_priority) as other_count,
        min(ranked.turn, 10) filter (where ranked.high_priority) as high_priority_first,
        min(ranked.turn, 10) filter (where not ranked.high_priority) as other_first
    from resources.image_cve as cve
    join ranked using (report_set)
    group by cve.image_id
),
named as (
    select first.image_id, ranked.high_priority, list(number.vulnerability_id order by first.turn) as ids
    from (
        select image_id, unnest(high_priority_first) as turn from counted
        union all
        select image_id, unnest(other_first) from counted
    ) as first
    join ranked using (turn)
    join resources.vulnerability_number as number using (vulnerability_number)
    group by first.image_id, ranked.high_priority
)
select
    image.registry_account, image.region, image.repository_name, image.image_digest,
    counted.high_priority_count, counted.other_count,
    coalesce(high_priority.ids, []) as high_priority_ids,
    coalesce(other.ids, []) as other_ids
from counted
join resources.image as image using (image_id)
left join named as high_priority on high_priority.image_id = counted.image_id and high_priority.high_priority
left join named as other on other.image_id = counted.image_id and not other.high_priority
