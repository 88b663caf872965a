-- One row per service × image that alone gives it traits: taken away, the image takes them along.
with single as (
    select resource_id, trait, min(image_digest) as image_digest
    from exposures.image_given_trait
    group by resource_id, trait
    having count(distinct image_digest) = 1
)
select
    resource_id, image_digest, list_sort(list(trait)) as traits,
    'image: ' || array_to_string(list_sort(list(trait)), ' ') as without
from single
group by resource_id, image_digest
