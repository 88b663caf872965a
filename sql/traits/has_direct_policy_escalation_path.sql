-- One row per task role in force, below administration, that can write or attach an IAM policy: on everything, on itself, or on a policy attached to it.
-- Decided from identity policies (resources.role_path); evidence holds the methods and the statements that make them.
select resource_id, account_id, region, evidence
from resources.service_path
where trait = 'has_direct_policy_escalation_path'
