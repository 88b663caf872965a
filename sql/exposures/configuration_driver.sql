-- One row per trait scenario × trait that drives by itself, with the worst likelihood whose condition holds.
with condition as (
    select situation_id, null::varchar as without, condition.trait as trait, condition.condition as condition
    from (select situation_id, unnest(conditions) as condition from exposures.situation)
    union all
    select situation_id, without, 'open_security_group', 'sensitive_port'
    from exposures.reachability
    where reaches_sensitive_port
    union all
    select situation_id, without, 'image_not_scanned', 'exposed_image'
    from exposures.reachability
    where is_exposed and reaches_unscanned_image
),
candidate as (
    select
        scenario.situation_id, scenario.without, situation.trait as driver,
        case when reachability.is_exposed then rule.likelihood_exposed else rule.likelihood_not_exposed end as likelihood,
        coalesce(rule.severity_cap, '') as severity_cap,
        coalesce(rule.condition, '') as condition,
        rule.rule,
        reachability.is_exposed
    from exposures.trait_scenario as scenario
    join (select situation_id, unnest(traits) as trait from exposures.situation) as situation
        on situation.situation_id = scenario.situation_id and not list_contains(scenario.removed_traits, situation.trait)
    join reference.configuration_likelihood as rule on rule.trait = situation.trait
    join exposures.reachability as reachability
        on reachability.situation_id = scenario.situation_id and reachability.without = scenario.without
    where rule.condition is null or exists (
        select 1 from condition
        where condition.situation_id = scenario.situation_id and coalesce(condition.without, scenario.without) = scenario.without
            and condition.trait = rule.trait and condition.condition = rule.condition
    )
)
select candidate.*, likelihood.level
from candidate
join reference.likelihood as likelihood using (likelihood)
qualify row_number() over (
    partition by candidate.situation_id, candidate.without, candidate.driver order by likelihood.level desc, candidate.condition desc
) = 1
