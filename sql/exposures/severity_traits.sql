-- One row per service with a trait that hits or is unknown: the traits that its severity rests on. These are each trait that drives a severity
-- above INFORMATIONAL, each that a reason for an impact above Low needs, and internet_reachable where the service counts as exposed.
-- `*` stands for a reason that no trait of the service takes away. An exposure is accepted when all of them are: what comes on top ends it.
-- Not asked is what would be left without the accepted traits: a public address is accepted as such, not with all that it lays open.
-- Of a service not completely seen today those of the day before (by today's rules: rebased) stay among them.
with alike as (
    select distinct service.situation_id, images.image_set_id
    from exposures.service_situation as service
    left join exposures.service_image_set as images on images.resource_id = service.resource_id
),
situation as (
    select situation.situation_id, situation.is_dormant, situation.reasons, reachability.is_exposed, impact.impact
    from exposures.situation as situation
    join exposures.reachability as reachability on reachability.situation_id = situation.situation_id and reachability.without = ''
    join exposures.impact as impact on impact.situation_id = situation.situation_id and impact.without = ''
),
of_situation as (
    select situation.situation_id, configuration.driver as trait
    from exposures.configuration_driver as configuration
    join situation on situation.situation_id = configuration.situation_id
    join exposures.severity_pair as pair
        on pair.likelihood = configuration.likelihood and pair.impact = situation.impact
        and pair.severity_cap = configuration.severity_cap and pair.is_dormant = situation.is_dormant
    where configuration.without = '' and pair.severity <> 'INFORMATIONAL'
    union
    select situation_id, unnest(case when len(reason.needs_traits) > 0 then reason.needs_traits else ['*'] end)
    from (select situation_id, unnest(reasons) as reason from situation)
    union
    select situation_id, 'internet_reachable'
    from situation
    where is_exposed
),
-- Of the two traits of vulnerabilities, what one drives is what is left without the other.
of_images as (
    select alike.situation_id, alike.image_set_id, list(alone.trait) as traits
    from alike
    join situation on situation.situation_id = alike.situation_id
    cross join (values
        ('vulnerability', 'high_priority_vulnerability'), ('high_priority_vulnerability', 'vulnerability')
    ) as alone (trait, other)
    join exposures.image_set_scenario as images
        on images.image_set_id = alike.image_set_id and images.removed_kind = 'trait' and images.removed = alone.other
    left join exposures.severity_pair as pair
        on pair.likelihood_level = case when situation.is_exposed then images.level_exposed else images.level_not_exposed end
        and pair.impact = situation.impact and pair.severity_cap = '' and pair.is_dormant = situation.is_dormant
    left join exposures.severity_pair as availability_pair
        on availability_pair.likelihood_level
            = case when situation.is_exposed then images.availability_level_exposed else images.availability_level_not_exposed end
        and availability_pair.impact = 'Low' and availability_pair.severity_cap = '' and availability_pair.is_dormant = situation.is_dormant
    where pair.severity <> 'INFORMATIONAL' or availability_pair.severity <> 'INFORMATIONAL'
    group by alike.situation_id, alike.image_set_id
),
today as (
    select alike.situation_id, alike.image_set_id, list_concat(coalesce(configured.traits, []), coalesce(of_images.traits, [])) as traits
    from alike
    left join (select situation_id, list(trait) as traits from of_situation group by situation_id) as configured
        on configured.situation_id = alike.situation_id
    left join of_images
        on of_images.situation_id = alike.situation_id and of_images.image_set_id = alike.image_set_id
)
select
    service.resource_id,
    list_sort(list_distinct(list_concat(
        today.traits, case when sight.is_blind then coalesce(before.severity_traits, before.traits, []) else [] end
    ))) as severity_traits
from exposures.service_situation as service
join exposures.service_sight as sight on sight.resource_id = service.resource_id
left join exposures.service_image_set as images on images.resource_id = service.resource_id
join today
    on today.situation_id = service.situation_id and coalesce(today.image_set_id, 0) = coalesce(images.image_set_id, 0)
left join rebased.exposure as before on before.resource_id = service.resource_id
