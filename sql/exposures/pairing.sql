-- One row per situation and traits gone (trait_scenario_id) × image set and images gone (image_scenario_id; its hash where a service has no
-- image) whose severity anything asks for: `outcome` works each out once.
select trait_scenario_id, image_scenario_id
from exposures.single_removal
union
select trait_scenario_id, image_scenario_id
from exposures.remediation_set
