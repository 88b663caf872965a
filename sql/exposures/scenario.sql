-- One row per exposed service × removal (`as_is` removes nothing): the severity and score that would remain.
with paired as (
    select
        trait.resource_id, trait.account_id, trait.region,
        case when trait.without = '' then 'as_is' else 'trait' end as removed_kind,
        trait.without as removed,
        trait.without,
        images.image_set_id,
        -- Only these two traits are of images; without any other the images stay as they are.
        case when trait.without in ('high_priority_vulnerability', 'vulnerability') then 'trait' else 'as_is' end as image_kind,
        case when trait.without in ('high_priority_vulnerability', 'vulnerability') then trait.without else '' end as image_removed
    from exposures.trait_scenario as trait
    left join exposures.service_image_set as images on images.resource_id = trait.resource_id
    where not starts_with(trait.without, 'image ')
    union all
    select
        trait.resource_id, trait.account_id, trait.region, removal.removed_kind, removal.removed, coalesce(taken.without, ''),
        removal.image_set_id, removal.removed_kind, removal.removed
    from exposures.trait_scenario as trait
    join exposures.service_image_set as images on images.resource_id = trait.resource_id
    join exposures.image_set_removal as removal on removal.image_set_id = images.image_set_id
    -- An image takes its own traits along.
    left join exposures.trait_scenario as taken
        on taken.resource_id = trait.resource_id and removal.removed_kind = 'image' and taken.without = 'image ' || removal.removed
    where trait.without = '' and removal.removed_kind in ('image', 'package')
),
worst_configuration as (
    select
        configuration.resource_id, configuration.without, max(pair.severity_level) as severity_level
    from exposures.configuration_driver as configuration
    join exposures.impact as impact on impact.resource_id = configuration.resource_id and impact.without = configuration.without
    join resources.service as service on service.resource_id = configuration.resource_id
    join exposures.severity_pair as pair
        on pair.likelihood = configuration.likelihood and pair.impact = impact.impact
        and pair.severity_cap = configuration.severity_cap and pair.is_dormant = service.is_dormant
    group by configuration.resource_id, configuration.without
),
levelled as (
    select
        paired.*,
        greatest(1, worst_configuration.severity_level, pair.severity_level, availability_pair.severity_level) as severity_level,
        coalesce(images.highest_probability, 0) as highest_probability,
        coalesce(images.likely_count, 0) as likely_count,
        coalesce(images.exploit_probability, 0) as exploit_probability
    from paired
    join resources.service as service on service.resource_id = paired.resource_id
    join exposures.reachability as reachability
        on reachability.resource_id = paired.resource_id and reachability.without = paired.without
    join exposures.impact as impact on impact.resource_id = paired.resource_id and impact.without = paired.without
    left join worst_configuration
        on worst_configuration.resource_id = paired.resource_id and worst_configuration.without = paired.without
    left join exposures.image_set_scenario as images
        on images.image_set_id = paired.image_set_id and images.removed_kind = paired.image_kind and images.removed = paired.image_removed
    left join exposures.severity_pair as pair
        on pair.likelihood_level = case when reachability.is_exposed then images.level_exposed else images.level_not_exposed end
        and pair.impact = impact.impact and pair.severity_cap = '' and pair.is_dormant = service.is_dormant
    -- What takes neither confidentiality nor integrity does not hand over what the role allows.
    left join exposures.severity_pair as availability_pair
        on availability_pair.likelihood_level
            = case when reachability.is_exposed then images.availability_level_exposed else images.availability_level_not_exposed end
        and availability_pair.impact = 'Low' and availability_pair.severity_cap = '' and availability_pair.is_dormant = service.is_dormant
)
select
    levelled.resource_id, levelled.account_id, levelled.region, levelled.removed_kind, levelled.removed,
    severity.severity,
    -- Inside the band: highest p, then how many are likely (99 and more are alike), then the chance that any is exploited,
    -- written as the digits of one whole number so that a later criterion never outweighs an earlier one.
    severity.score_from + (severity.score_to - severity.score_from)
        * ((round(highest_probability * 1e6)::hugeint * 100 + least(likely_count, 99)) * 1000001 + round(exploit_probability * 1e6)::hugeint)::double
        / ((1000000::hugeint * 100 + 99) * 1000001 + 1000000)::double as score
from levelled
join reference.severity as severity on severity.level = levelled.severity_level
