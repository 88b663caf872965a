-- One row per service × place where ECS Exec is switched on: the service's setting, which new tasks get, and running tasks, which
-- keep what they were started with.
select
    service.resource_id, service.account_id, service.region, {'on': 'service'} as evidence
from resources.service as service
where service.is_execute_command_enabled
union
select
    service.resource_id, service.account_id, service.region, {'on': 'running tasks'}
from snapshot.task as task
join resources.service as service on service.resource_id = task.resource_id
where task.is_execute_command_enabled
