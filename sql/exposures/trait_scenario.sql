-- One row per exposed service × trait taken away, and one (without = '') with all in place. Everything that traits decide
-- is computed per such row; what images decide, per image_set_scenario; a scenario pairs the two.
select resource_id, account_id, region, '' as without, []::varchar[] as removed_traits
from traits.all
group by all
union all
select
    resource_id, account_id, region, trait,
    -- Without its role the service has none of what the role allows either.
    case when trait = 'iam_role_assumable'
        then list_concat(
            [trait, 'administrative_access_policy', 'service_administrative_policy'],
            (select list_sort(list(distinct trait)) from reference.permission_paths))
        else [trait] end
from traits.all
where state = 'hit'
