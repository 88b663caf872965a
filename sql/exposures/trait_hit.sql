-- One row per service × trait that hits, or could not be decided.
select resource_id, account_id, region, trait, category, state, evidence, is_carried, observed_date
from traits.all
