-- One row per service × revision in force × container × capability added beyond Docker's default set that weakens its isolation.
-- ALL stands for every one that is not dropped: Docker adds all, then takes the dropped away; of capabilities named one by one, the
-- added win. Not on Fargate, where only SYS_PTRACE can be added and reaches no further than the task, and not on Windows.
with added as (
    select
        resource_id, account_id, region, task_definition_arn, container_name,
        coalesce(capabilities_dropped, []) as dropped, unnest(capabilities_added) as capability
    from resources.container_in_force
    where is_fargate is not true and is_windows is not true
)
select distinct
    added.resource_id, added.account_id, added.region, added.task_definition_arn, added.container_name,
    known.capability, known.is_host_escape
from added
join reference.linux_capabilities as known
    on known.capability = added.capability
    or (added.capability = 'ALL' and not list_contains(added.dropped, known.capability))
