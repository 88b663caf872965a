-- One row per exposed service × trait taken away, one per image that takes traits along, and one (without = '') with all in place. Everything that traits decide
-- is computed per such row; what images decide, per image_set_scenario; a scenario pairs the two.
select resource_id, account_id, region, '' as without, []::varchar[] as removed_traits
from traits.all
group by all
union all
select
    hit.resource_id, hit.account_id, hit.region, hit.trait,
    case
        -- Without its role the service has none of what the role allows either.
        when hit.trait = 'iam_role_assumable' then list_concat(
            [hit.trait, 'administrative_access_policy', 'service_administrative_policy'],
            (select list_sort(list(distinct trait)) from reference.permission_paths))
        -- A runtime's socket is mounted as a host path; where nothing else is, the two go together.
        when hit.trait = 'root_filesystem_access' then [hit.trait, 'container_runtime_socket_mounted']
        when hit.trait = 'container_runtime_socket_mounted' and other_mount.resource_id is null then [hit.trait, 'root_filesystem_access']
        else [hit.trait]
    end
from traits.all as hit
left join (select distinct resource_id from resources.host_mount where place <> 'runtime_socket') as other_mount
    on other_mount.resource_id = hit.resource_id
where hit.state = 'hit'
union all
select resource_id, account_id, region, 'image ' || image_digest, list_sort(list(trait))
from exposures.image_trait
group by resource_id, account_id, region, image_digest
