-- One row per task role in force, below administration, that can run commands on any compute of a kind.
-- Decided from identity policies (resources.role_path); evidence holds the methods and the statements that make them.
select resource_id, account_id, region, evidence
from resources.service_path
where trait = 'has_access_existing_executor_path'
