-- One row per container in force that runs privileged: it has the capabilities and devices of its host. Neither Fargate nor
-- Windows knows privileged containers.
select
    container.resource_id, container.account_id, container.region,
    {'task_definition': container.task_definition_arn, 'container': container.container_name} as evidence
from resources.container_in_force as container
where container.is_privileged and container.is_fargate is not true and container.is_windows is not true
