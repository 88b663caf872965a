-- One row per definition in force that shares the host's process namespace: its containers see every process of the
-- instance and can signal them (AWS: exposed namespace). Neither on Fargate nor on Windows.
select
    definition.resource_id, definition.account_id, definition.region,
    {'task_definition': definition.task_definition_arn, 'pid_mode': definition.pid_mode} as evidence
from resources.task_definition_in_force as definition
where definition.pid_mode = 'host' and definition.is_fargate is not true and definition.is_windows is not true
