-- One row per task role in force, below administration, that can rewrite whom an administrator role trusts, on everything or on a named administrator.
-- Decided from identity policies (resources.role_path); evidence holds the methods and the statements that make them.
select resource_id, account_id, region, evidence
from resources.service_path
where trait = 'has_trust_policy_hijack_path'
