-- One row per exposed service × removal (`as_is` removes nothing): the severity and score that would remain.
-- Computed once for services of one situation that run the same images.
with alike as (
    select distinct service.situation_id, images.image_set_id
    from exposures.service_situation as service
    left join exposures.service_image_set as images on images.resource_id = service.resource_id
),
taken as (
    select distinct service.situation_id, images.image_set_id, image.image_digest, image.without
    from exposures.image_trait as image
    join exposures.service_situation as service on service.resource_id = image.resource_id
    join exposures.service_image_set as images on images.resource_id = image.resource_id
),
paired as (
    select
        alike.situation_id, alike.image_set_id,
        case when trait.without = '' then 'as_is' else 'trait' end as removed_kind,
        trait.without as removed,
        trait.without,
        -- Only these two traits are of images; without any other the images stay as they are.
        case when trait.without in ('high_priority_vulnerability', 'vulnerability') then 'trait' else 'as_is' end as image_kind,
        case when trait.without in ('high_priority_vulnerability', 'vulnerability') then trait.without else '' end as image_removed
    from alike
    join exposures.trait_scenario as trait on trait.situation_id = alike.situation_id
    where not starts_with(trait.without, 'image: ')
    union all
    select
        alike.situation_id, alike.image_set_id, removal.removed_kind, removal.removed, coalesce(taken.without, ''),
        removal.removed_kind, removal.removed
    from alike
    join exposures.image_set_removal as removal on removal.image_set_id = alike.image_set_id
    -- An image takes its own traits along.
    left join taken
        on taken.situation_id = alike.situation_id and taken.image_set_id = alike.image_set_id
        and removal.removed_kind = 'image' and taken.image_digest = removal.removed
    where removal.removed_kind in ('image', 'package')
),
worst_configuration as (
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
        reachability.situation_id, reachability.without, reachability.is_exposed, impact.impact, situation.is_dormant,
        worst_configuration.severity_level
    from exposures.reachability as reachability
    join exposures.impact as impact on impact.situation_id = reachability.situation_id and impact.without = reachability.without
    join exposures.situation as situation on situation.situation_id = reachability.situation_id
    left join worst_configuration
        on worst_configuration.situation_id = reachability.situation_id and worst_configuration.without = reachability.without
),
levelled as (
    select
        paired.situation_id, paired.image_set_id, paired.removed_kind, paired.removed,
        greatest(1, outcome.severity_level, pair.severity_level, availability_pair.severity_level) as severity_level,
        coalesce(images.highest_probability, 0) as highest_probability,
        coalesce(images.likely_count, 0) as likely_count,
        coalesce(images.exploit_probability, 0) as exploit_probability
    from paired
    join outcome on outcome.situation_id = paired.situation_id and outcome.without = paired.without
    left join exposures.image_set_scenario as images
        on images.image_set_id = paired.image_set_id and images.removed_kind = paired.image_kind and images.removed = paired.image_removed
    left join exposures.severity_pair as pair
        on pair.likelihood_level = case when outcome.is_exposed then images.level_exposed else images.level_not_exposed end
        and pair.impact = outcome.impact and pair.severity_cap = '' and pair.is_dormant = outcome.is_dormant
    -- What takes neither confidentiality nor integrity does not hand over what the role allows.
    left join exposures.severity_pair as availability_pair
        on availability_pair.likelihood_level
            = case when outcome.is_exposed then images.availability_level_exposed else images.availability_level_not_exposed end
        and availability_pair.impact = 'Low' and availability_pair.severity_cap = '' and availability_pair.is_dormant = outcome.is_dormant
),
scored as (
    select
        levelled.situation_id, levelled.image_set_id, levelled.removed_kind, levelled.removed,
        severity.severity,
        -- Inside the band: highest p, then how many are likely (99 and more are alike), then the chance that any is exploited,
        -- written as the digits of one whole number so that a later criterion never outweighs an earlier one.
        severity.score_from + (severity.score_to - severity.score_from)
            * ((round(highest_probability * 1e6)::hugeint * 100 + least(likely_count, 99)) * 1000001 + round(exploit_probability * 1e6)::hugeint)::double
            / ((1000000::hugeint * 100 + 99) * 1000001 + 1000000)::double as score
    from levelled
    join reference.severity as severity on severity.level = levelled.severity_level
)
select
    service.resource_id, service.account_id, service.region,
    scored.removed_kind, scored.removed, scored.severity, scored.score
from (
    select situation.resource_id, service.account_id, service.region, situation.situation_id, images.image_set_id
    from exposures.service_situation as situation
    join resources.service as service on service.resource_id = situation.resource_id
    left join exposures.service_image_set as images on images.resource_id = situation.resource_id
) as service
join scored
    on scored.situation_id = service.situation_id and coalesce(scored.image_set_id, 0) = coalesce(service.image_set_id, 0)
