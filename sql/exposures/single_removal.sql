-- One row per situation × image set of some service × thing taken away (`as_is`: nothing), and the traits and images gone with it.
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
clean_taken as (
    select distinct service.situation_id, images.image_set_id, image.without
    from exposures.what_if_image_trait as image
    join exposures.service_situation as service on service.resource_id = image.resource_id
    join exposures.service_image_set as images on images.resource_id = image.resource_id
),
removal as (
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
    where trait.without = '' or trait.without in (select trait from traits.catalogue)
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
    union all
    -- A what-if: traits and images at once.
    select
        alike.situation_id, alike.image_set_id, 'what_if', '', coalesce(clean_taken.without, 'what_if'), coalesce(clean.removed_kind, 'as_is'), ''
    from alike
    cross join run.what_if as asked
    left join exposures.image_set_removal as clean on clean.image_set_id = alike.image_set_id and clean.removed_kind = 'what_if'
    left join clean_taken on clean_taken.situation_id = alike.situation_id and clean_taken.image_set_id = alike.image_set_id
)
-- By which the outcome of a removal is found: of what traits decide, and of what images decide.
select
    *,
    hash(situation_id, without) as trait_scenario_id,
    hash(image_set_id, image_kind, image_removed) as image_scenario_id
from removal
