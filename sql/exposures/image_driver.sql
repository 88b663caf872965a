-- One row per running digest × exposed or not × vulnerability among its ten worst drivers: five that take confidentiality or
-- integrity and five that only take availability (a high impact may turn their order).
with keyed as (
    -- One whole number orders by level, then p, then id, and gives the id's number back.
    select
        report_set, is_availability_only,
        (level_exposed * 2000000 + coalesce(round(probability * 1e6)::bigint + 1, 0)) * 16777216 + vulnerability_number as key_exposed,
        (level_not_exposed * 2000000 + coalesce(round(probability * 1e6)::bigint + 1, 0)) * 16777216 + vulnerability_number as key_not_exposed
    from exposures.report_set_level
    where not is_kernel
),
ranked as (
    select
        cve.image_id, keyed.is_availability_only,
        max(keyed.key_exposed, 5) as worst_exposed, max(keyed.key_not_exposed, 5) as worst_not_exposed
    from resources.image_cve as cve
    join keyed using (report_set)
    group by cve.image_id, keyed.is_availability_only
),
named as (
    select image_id, true as is_exposed, unnest(worst_exposed) % 16777216 as vulnerability_number from ranked
    union all
    select image_id, false, unnest(worst_not_exposed) % 16777216 from ranked
)
select
    named.image_id, named.is_exposed, named.vulnerability_number, cve.report_set, level.is_availability_only,
    case when named.is_exposed then level.level_exposed else level.level_not_exposed end as level,
    level.probability
from named
join resources.image_cve as cve on cve.image_id = named.image_id and cve.vulnerability_number = named.vulnerability_number
join exposures.report_set_level as level on level.report_set = cve.report_set
