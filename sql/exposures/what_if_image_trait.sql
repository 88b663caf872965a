-- One row per service × set of traits that go with the images which a what-if calls clean (none in a nightly run): a trait goes with the
-- last image that gives it.
with given as (
    select resource_id, 'end_of_life_operating_system' as trait, evidence.image_digest as image_digest
    from traits.end_of_life_operating_system
    union all
    select resource_id, 'malicious_package', evidence.image_digest
    from traits.malicious_package
),
gone as (
    select given.resource_id, given.trait
    from given
    cross join run.what_if as asked
    group by given.resource_id, given.trait
    having bool_and(list_contains(asked.clean_digests, given.image_digest))
)
select resource_id, list_sort(list(trait)) as traits, 'what_if: ' || array_to_string(list_sort(list(trait)), ' ') as without
from gone
group by resource_id
