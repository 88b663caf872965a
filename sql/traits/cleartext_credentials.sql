-- One row per credential in clear in a definition in force: where it stands and what recognised it, never the value.
-- The keyed fingerprint is the same wherever and whenever the same value stands: sharing_service_count says how many services of
-- all accounts hold it (NULL when this one alone does), and another fingerprint on another day says that the value was changed.
with holder as (
    select
        credential.fingerprint, definition.resource_id, definition.account_id, definition.region, definition.task_definition_arn,
        credential.container_name, credential.source, credential.variable_name, credential.detector, credential.is_provider_pattern
    from snapshot.credential as credential
    join resources.task_definition_in_force as definition
        on definition.task_definition_arn = credential.task_definition_arn
),
sharing as (
    select fingerprint, count(distinct resource_id) as service_count
    from holder
    group by fingerprint
    having count(distinct resource_id) > 1
)
select
    holder.resource_id, holder.account_id, holder.region,
    {
        'task_definition': holder.task_definition_arn, 'container': holder.container_name,
        'source': holder.source, 'variable': holder.variable_name,
        'detector': holder.detector, 'is_provider_pattern': holder.is_provider_pattern,
        'sharing_service_count': sharing.service_count, 'fingerprint': holder.fingerprint
    } as evidence
from holder
left join sharing on sharing.fingerprint = holder.fingerprint
