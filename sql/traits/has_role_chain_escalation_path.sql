-- One row per task role in force, below administration, that can assume any role, or one after another reaches an administrator that lets it.
-- Decided from identity policies (resources.role_path); evidence holds the methods and the statements that make them.
select resource_id, account_id, region, evidence
from resources.service_path
where trait = 'has_role_chain_escalation_path'
