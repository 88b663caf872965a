-- One row per task role in force, below administration, that can hand any role, or a named administrator, to compute that it makes itself.
-- Decided from identity policies (resources.role_path); evidence holds the methods and the statements that make them.
select resource_id, account_id, region, evidence
from resources.service_path
where trait = 'has_pass_role_create_executor_path'
