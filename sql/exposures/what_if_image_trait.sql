-- One row per service × set of traits that go with the images which a what-if calls clean (none in a nightly run): a trait goes with the
-- last image that gives it.
with gone as (
    select given.resource_id, given.trait
    from exposures.image_given_trait as given
    cross join run.what_if as asked
    group by given.resource_id, given.trait
    having bool_and(list_contains(asked.clean_digests, given.image_digest))
)
select resource_id, list_sort(list(trait)) as traits, 'what_if: ' || array_to_string(list_sort(list(trait)), ' ') as without
from gone
group by resource_id
