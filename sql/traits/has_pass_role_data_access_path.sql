-- One row per task role in force, below administration, that can hand any role, or a named administrator, to a service that copies data with it.
-- Decided from identity policies (resources.role_path); evidence holds the methods and the statements that make them.
select resource_id, account_id, region, evidence
from resources.service_path
where trait = 'has_pass_role_data_access_path'
