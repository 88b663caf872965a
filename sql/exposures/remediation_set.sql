-- One row per service × non-empty set of its changes (`changes` has bit n set for the change at position n): the traits and images that
-- are gone once all of the set are made.
with need as (
    -- The changes that must be made for a trait to go, as bits.
    select
        atom.resource_id, atom.trait, bit_or(1 << remediation.position)::integer as changes,
        -- One that was left out (a service's eighth) leaves the trait where it is.
        count(*) = (count(*) filter (where remediation.position is not null)) as is_whole
    from exposures.remediation_atom as atom
    left join exposures.remediation as remediation
        on remediation.resource_id = atom.resource_id and remediation.kind = atom.kind and remediation.name = atom.name
        and remediation.remediation_account_id = atom.account_id and remediation.remediation_region = atom.region
    where atom.trait is not null
    group by atom.resource_id, atom.trait
),
trait as (
    select resource_id, list_sort(list({'trait': trait, 'changes': changes})) as traits
    from need
    where is_whole
    group by resource_id
),
image as (
    select resource_id, list_sort(list(distinct {'image_id': image_id, 'changes': changes})) as images
    from (
        select remediation.resource_id, image.image_id, (1 << remediation.position)::integer as changes
        from exposures.remediation as remediation
        join resources.service_image as service_image
            on service_image.resource_id = remediation.resource_id and service_image.registry_account = remediation.remediation_account_id
            and service_image.registry_region = remediation.remediation_region and service_image.repository_name = remediation.name
        join resources.image as image
            on image.registry_account = service_image.registry_account and image.region = service_image.registry_region
            and image.repository_name = service_image.repository_name and image.image_digest = service_image.image_digest
        where remediation.kind = 'image'
    )
    group by resource_id
),
service as (
    select resource_id, max(position) + 1 as changes_count
    from exposures.remediation
    group by resource_id
),
-- Services alike in this are worked out once.
shape as (
    select
        service.resource_id, situation.situation_id, images.image_set_id, service.changes_count,
        coalesce(trait.traits, []) as traits, coalesce(image.images, []) as images
    from service
    join exposures.service_situation as situation on situation.resource_id = service.resource_id
    left join exposures.service_image_set as images on images.resource_id = service.resource_id
    left join trait on trait.resource_id = service.resource_id
    left join image on image.resource_id = service.resource_id
),
gone as (
    select
        situation_id, image_set_id, changes_count, traits, images, changes,
        list_transform(list_filter(traits, lambda item: item.changes & changes = item.changes), lambda item: item.trait) as removed_traits,
        list_transform(list_filter(images, lambda item: item.changes & changes <> 0), lambda item: item.image_id) as removed_images
    from (
        select *, unnest(range(1, 1 << changes_count))::integer as changes
        from (select distinct situation_id, image_set_id, changes_count, traits, images from shape)
    )
),
named as (
    select
        *,
        case when len(removed_traits) > 0 then 'changes: ' || array_to_string(removed_traits, ' ') else '' end as without,
        case when len(removed_images) > 0 then 'images' else 'as_is' end as image_kind,
        array_to_string(removed_images, '+') as image_removed
    from gone
),
-- The ids are those of single_removal.
worked as (
    select
        *,
        hash(situation_id, without) as trait_scenario_id,
        hash(image_set_id, image_kind, image_removed) as image_scenario_id
    from named
)
select
    shape.resource_id, shape.situation_id, shape.image_set_id, worked.* exclude (situation_id, image_set_id, changes_count, traits, images)
from shape
join worked
    on worked.situation_id = shape.situation_id and worked.image_set_id is not distinct from shape.image_set_id
    and worked.changes_count = shape.changes_count and worked.traits = shape.traits and worked.images = shape.images
