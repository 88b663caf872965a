-- One row per definition in force whose containers share the host's interfaces, ports and routing.
select
    definition.resource_id, definition.account_id, definition.region,
    {'task_definition': definition.task_definition_arn, 'network_mode': definition.network_mode} as evidence
from resources.task_definition_in_force as definition
where definition.network_mode = 'host'
