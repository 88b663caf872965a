-- One row per definition in force whose containers share the host's interfaces, ports and routing. Neither on Fargate nor on
-- Windows.
select
    definition.resource_id, definition.account_id, definition.region,
    {'task_definition': definition.task_definition_arn, 'network_mode': definition.network_mode} as evidence
from resources.task_definition_in_force as definition
where definition.network_mode = 'host' and definition.is_fargate is not true and definition.is_windows is not true
