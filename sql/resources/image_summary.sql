-- One row per running digest: its distinct vulnerabilities, those suppressed in Amazon Inspector apart. The named ones are
-- the first ten by what does not drift from day to day (KEV, base score, id).
with counted as (
    select
        image_id,
        count(*) filter (where high_priority) as high_priority_count,
        count(*) filter (where not high_priority) as other_count,
        min({'not_kev': not kev, 'score': -coalesce(cvss_base_score, 0), 'number': vulnerability_number}, 10)
            filter (where high_priority) as high_priority_first,
        min({'not_kev': not kev, 'score': -coalesce(cvss_base_score, 0), 'number': vulnerability_number}, 10)
            filter (where not high_priority) as other_first
    from resources.image_cve
    group by image_id
),
named as (
    select first.image_id, first.high_priority, list(number.vulnerability_id order by first.position) as ids
    from (
        select image_id, true as high_priority, unnest(high_priority_first).number as number,
            generate_subscripts(high_priority_first, 1) as position
        from counted
        union all
        select image_id, false, unnest(other_first).number, generate_subscripts(other_first, 1) from counted
    ) as first
    join resources.vulnerability_number as number on number.vulnerability_number = first.number
    group by first.image_id, first.high_priority
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
