-- One row per situation × image set × traits gone × images gone whose severity anything asks for: `outcome` works each out once.
select situation_id, image_set_id, without, image_kind, image_removed
from exposures.single_removal
union
select situation_id, image_set_id, without, image_kind, image_removed
from exposures.remediation_set
