-- One row per running digest × exposed or not × vulnerability among its twenty worst drivers: ten that take confidentiality or
-- integrity and ten that only take availability (a high impact may turn their order).
with ranked as (
    select
        cve.image_id, exposure.is_exposed, cve.is_availability_only,
        max({
            'level': case when exposure.is_exposed then cve.level_exposed else cve.level_not_exposed end,
            'probability': coalesce(cve.probability, -1),
            'vulnerability_id': cve.vulnerability_id
        }, 10) as worst
    from exposures.image_cve as cve
    cross join (select unnest([false, true]) as is_exposed) as exposure
    where not cve.is_kernel
    group by cve.image_id, exposure.is_exposed, cve.is_availability_only
),
named as (
    select image_id, is_exposed, is_availability_only, unnest(worst) as item
    from ranked
)
select
    named.image_id, named.is_exposed, named.is_availability_only,
    cve.vulnerability_id, rule.level, rule.likelihood, rule.rule,
    cve.probability,
    to_json({
        'kev': cve.kev, 'is_exposed': named.is_exposed, 'automatable': cve.automatable, 'technical_impact': cve.technical_impact,
        'epss': cve.epss, 'is_exploitation_likely': cve.is_exploitation_likely, 'high_priority': cve.high_priority,
        'is_availability_only': cve.is_availability_only, 'bod_26_04': rule.outcome
    })::varchar as inputs
from named
join exposures.image_cve as cve on cve.image_id = named.image_id and cve.vulnerability_id = named.item.vulnerability_id
join exposures.vulnerability_likelihood as rule
    on rule.is_exposed = named.is_exposed and rule.is_kev = cve.kev and rule.is_automatable = cve.automatable
    and rule.technical_impact = cve.technical_impact and rule.is_exploitation_likely = cve.is_exploitation_likely
    and rule.high_priority = cve.high_priority
