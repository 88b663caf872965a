-- One row per task role in force, below administration, that can change what any compute of a kind runs.
-- Decided from identity policies (resources.role_path); evidence holds the methods and the statements that make them.
select resource_id, account_id, region, evidence
from resources.service_path
where trait = 'has_inject_code_privileged_executor_path'
