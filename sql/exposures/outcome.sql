-- One row per pairing of traits gone from a situation × images gone from a set: the severity and score that remain.
-- The only place where what traits decide and what images decide meet.
with worst_configuration as (
    select configuration.situation_id, configuration.without, max(pair.severity_level) as severity_level
    from exposures.configuration_driver as configuration
    join exposures.impact as impact on impact.situation_id = configuration.situation_id and impact.without = configuration.without
    join exposures.situation as situation on situation.situation_id = configuration.situation_id
    join exposures.severity_pair as pair
        on pair.likelihood = configuration.likelihood and pair.impact = impact.impact
        and pair.severity_cap = configuration.severity_cap and pair.is_dormant = situation.is_dormant
    group by configuration.situation_id, configuration.without
),
outcome as (
    select
        hash(reachability.situation_id, reachability.without) as trait_scenario_id,
        reachability.is_exposed, impact.impact, situation.is_dormant,
        worst_configuration.severity_level
    from exposures.reachability as reachability
    join exposures.impact as impact on impact.situation_id = reachability.situation_id and impact.without = reachability.without
    join exposures.situation as situation on situation.situation_id = reachability.situation_id
    left join worst_configuration
        on worst_configuration.situation_id = reachability.situation_id and worst_configuration.without = reachability.without
),
images as (
    select *, hash(image_set_id, removed_kind, removed) as image_scenario_id
    from exposures.image_set_scenario
),
levelled as (
    select
        paired.trait_scenario_id, paired.image_scenario_id,
        greatest(1, outcome.severity_level, pair.severity_level, availability_pair.severity_level) as severity_level,
        coalesce(images.highest_probability, 0) as highest_probability,
        coalesce(images.likely_count, 0) as likely_count,
        coalesce(images.exploit_probability, 0) as exploit_probability
    from exposures.pairing as paired
    join outcome on outcome.trait_scenario_id = paired.trait_scenario_id
    left join images on images.image_scenario_id = paired.image_scenario_id
    left join exposures.severity_pair as pair
        on pair.likelihood_level = case when outcome.is_exposed then images.level_exposed else images.level_not_exposed end
        and pair.impact = outcome.impact and pair.severity_cap = '' and pair.is_dormant = outcome.is_dormant
    -- What takes neither confidentiality nor integrity does not hand over what the role allows.
    left join exposures.severity_pair as availability_pair
        on availability_pair.likelihood_level
            = case when outcome.is_exposed then images.availability_level_exposed else images.availability_level_not_exposed end
        and availability_pair.impact = 'Low' and availability_pair.severity_cap = '' and availability_pair.is_dormant = outcome.is_dormant
)
select
    levelled.trait_scenario_id, levelled.image_scenario_id,
    severity.severity,
    -- Inside the band: highest p, then how many are likely (99 and more are alike), then the chance that any is exploited,
    -- written as the digits of one whole number so that a later criterion never outweighs an earlier one.
    severity.score_from + (severity.score_to - severity.score_from)
        * ((round(highest_probability * 1e6)::hugeint * 100 + least(likely_count, 99)) * 1000001 + round(exploit_probability * 1e6)::hugeint)::double
        / ((1000000::hugeint * 100 + 99) * 1000001 + 1000000)::double as score
from levelled
join reference.severity as severity on severity.level = levelled.severity_level
