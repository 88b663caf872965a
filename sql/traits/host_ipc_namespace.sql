-- One row per definition in force that shares the host's IPC namespace: its containers can read and write the shared memory,
-- semaphores and queues of every process of the instance that uses them. Neither on Fargate nor on Windows.
select
    definition.resource_id, definition.account_id, definition.region,
    {'task_definition': definition.task_definition_arn, 'ipc_mode': definition.ipc_mode} as evidence
from resources.task_definition_in_force as definition
where definition.ipc_mode = 'host' and definition.is_fargate is not true and definition.is_windows is not true
