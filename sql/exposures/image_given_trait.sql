-- One row per service × trait × image that gives it: what is of the image itself goes with it. The traits of vulnerabilities are not
-- among them: theirs are folded per image set.
select distinct resource_id, 'end_of_life_operating_system' as trait, evidence.image_digest as image_digest
from traits.end_of_life_operating_system
union all
select distinct resource_id, 'malicious_package', evidence.image_digest
from traits.malicious_package
