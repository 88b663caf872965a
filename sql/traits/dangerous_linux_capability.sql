-- One row per container in force with Linux capabilities beyond Docker's default set that weaken its isolation, and whether one
-- of them alone is enough to take over the host.
select
    capability.resource_id, capability.account_id, capability.region,
    {
        'task_definition': capability.task_definition_arn, 'container': capability.container_name,
        'capabilities': list_sort(list(capability.capability)), 'is_host_escape': bool_or(capability.is_host_escape)
    } as evidence
from resources.dangerous_capability as capability
group by capability.resource_id, capability.account_id, capability.region, capability.task_definition_arn, capability.container_name
