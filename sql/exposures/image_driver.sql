-- One row per running digest × exposed or not × vulnerability among its twenty worst drivers: ten that take confidentiality or
-- integrity and ten that only take availability (a high impact may turn their order).
with keyed as (
    -- One whole number orders by level, then p, then id, and gives the id's number back.
    select
        image_id, is_availability_only,
        (level_exposed * 2000000 + coalesce(round(probability * 1e6)::bigint + 1, 0)) * 16777216 + vulnerability_number as key_exposed,
        (level_not_exposed * 2000000 + coalesce(round(probability * 1e6)::bigint + 1, 0)) * 16777216 + vulnerability_number as key_not_exposed
    from exposures.image_cve
    where not is_kernel
),
ranked as (
    select image_id, is_availability_only, max(key_exposed, 10) as worst_exposed, max(key_not_exposed, 10) as worst_not_exposed
    from keyed
    group by image_id, is_availability_only
),
named as (
    select image_id, true as is_exposed, unnest(worst_exposed) % 16777216 as vulnerability_number from ranked
    union all
    select image_id, false, unnest(worst_not_exposed) % 16777216 from ranked
)
select
    named.image_id, named.is_exposed, cve.is_availability_only,
    cve.vulnerability_id, rule.level, rule.likelihood, rule.rule,
    cve.probability,
    to_json({
        'kev': cve.kev, 'is_exposed': named.is_exposed, 'automatable': cve.automatable, 'technical_impact': cve.technical_impact,
        'epss': cve.epss, 'is_exploitation_likely': cve.is_exploitation_likely, 'high_priority': cve.high_priority,
        'is_availability_only': cve.is_availability_only, 'bod_26_04': rule.outcome, 'is_decided_by_cisa': cve.is_decided
    })::varchar as inputs
from named
join exposures.image_cve as cve on cve.image_id = named.image_id and cve.vulnerability_number = named.vulnerability_number
join exposures.vulnerability_likelihood as rule
    on rule.is_exposed = named.is_exposed and rule.is_kev = cve.kev and rule.is_automatable = cve.automatable
    and rule.technical_impact = cve.technical_impact and rule.is_exploitation_likely = cve.is_exploitation_likely
    and rule.high_priority = cve.high_priority and rule.is_decided = cve.is_decided
