-- One row per task role in force, below administration, that can read data of a kind from all resources.
-- Decided from identity policies (resources.role_path); evidence holds the methods and the statements that make them.
select resource_id, account_id, region, evidence
from resources.service_path
where trait = 'has_single_hop_data_access_path'
