-- One row per definition in force × user, with the containers that run as root for all the definition says: no user, or uid 0 in
-- any spelling, with or without a group (Security Hub control ECS.20). On Windows only the administrator named as such: the
-- definition cannot name a user there otherwise, and the image decides.
select
    container.resource_id, container.account_id, container.region,
    {
        'task_definition': container.task_definition_arn, 'user': container.user,
        'containers': list_sort(list(container.container_name))
    } as evidence
from resources.container_in_force as container
where case
    when container.is_windows then lower(container.user) = 'containeradministrator'
    else regexp_matches(coalesce(trim(container.user), ''), '^(root|0*)(:|$)')
end
group by container.resource_id, container.account_id, container.region, container.task_definition_arn, container.user
