-- One row per credential in clear in a definition in force: where it stands and what recognised it, never the value.
select
    definition.resource_id, definition.account_id, definition.region,
    {
        'task_definition': definition.task_definition_arn, 'container': credential.container_name,
        'source': credential.source, 'variable': credential.variable_name,
        'detector': credential.detector, 'is_provider_pattern': credential.is_provider_pattern
    } as evidence
from snapshot.credential as credential
join resources.task_definition_in_force as definition
    on definition.task_definition_arn = credential.task_definition_arn
