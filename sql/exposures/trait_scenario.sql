-- One row per situation × trait taken away, one per set of traits that an image or some changes take along or a what-if leaves out, and one
-- (without = '') with all in place. Everything that traits decide
-- is computed per such row; what images decide, per image_set_scenario; a scenario pairs the two.
with single as (
    select
        situation_id, trait,
        case
            -- Without its role the service has none of what the role allows either.
            when trait = 'iam_role_assumable' then list_concat(
                [trait, 'administrative_access_policy', 'service_administrative_policy'],
                (select list_sort(list(distinct trait)) from reference.permission_paths))
            -- A runtime's socket is mounted as a host path; where nothing else is, the two go together.
            when trait = 'root_filesystem_access' then [trait, 'container_runtime_socket_mounted']
            when trait = 'container_runtime_socket_mounted' and not has_other_mount then [trait, 'root_filesystem_access']
            else [trait]
        end as removed_traits
    from (select situation_id, has_other_mount, unnest(traits) as trait from exposures.situation)
),
-- A what-if's traits, and those that its images take along, go with all that each takes along alone.
what_if as (
    select situation.situation_id, 'what_if' as without, asked.removed_traits
    from exposures.situation as situation
    cross join run.what_if as asked
    union
    select service.situation_id, taken.without, list_concat(asked.removed_traits, taken.traits)
    from exposures.what_if_image_trait as taken
    join exposures.service_situation as service on service.resource_id = taken.resource_id
    cross join run.what_if as asked
)
select situation_id, '' as without, []::varchar[] as removed_traits
from exposures.situation
union all
select situation_id, trait, removed_traits
from single
union
select service.situation_id, image.without, image.traits
from exposures.image_trait as image
join exposures.service_situation as service on service.resource_id = image.resource_id
union
select situation_id, without, removed_traits
from exposures.remediation_set
where without <> ''
union
select
    what_if.situation_id, what_if.without,
    coalesce(list_sort(list_distinct(flatten(list(single.removed_traits)))), [])
from what_if
left join single on single.situation_id = what_if.situation_id and list_contains(what_if.removed_traits, single.trait)
group by what_if.situation_id, what_if.without
