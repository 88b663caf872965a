-- One row per service × trait that a single image gives it: taken away, the image takes the trait along.
-- The traits of vulnerabilities are not among them: theirs is folded per image set.
with given as (
    select resource_id, account_id, region, 'end_of_life_operating_system' as trait, evidence.image_digest as image_digest
    from traits.end_of_life_operating_system
    union all
    select resource_id, account_id, region, 'malicious_package', evidence.image_digest
    from traits.malicious_package
)
select resource_id, account_id, region, trait, min(image_digest) as image_digest
from given
group by resource_id, account_id, region, trait
having count(distinct image_digest) = 1
