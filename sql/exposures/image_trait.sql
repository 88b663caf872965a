-- One row per service × image that alone gives it traits: taken away, the image takes them along.
-- The traits of vulnerabilities are not among them: theirs are folded per image set.
with given as (
    select resource_id, 'end_of_life_operating_system' as trait, evidence.image_digest as image_digest
    from traits.end_of_life_operating_system
    union all
    select resource_id, 'malicious_package', evidence.image_digest
    from traits.malicious_package
),
single as (
    select resource_id, trait, min(image_digest) as image_digest
    from given
    group by resource_id, trait
    having count(distinct image_digest) = 1
)
select
    resource_id, image_digest, list_sort(list(trait)) as traits,
    'image: ' || array_to_string(list_sort(list(trait)), ' ') as without
from single
group by resource_id, image_digest
