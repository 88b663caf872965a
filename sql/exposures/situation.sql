-- One row per situation: a combination of facts that some service is in, numbered. Likelihood, impact and reachability are computed per
-- situation and set of traits taken away, never per service: a hundred thousand services are in some thousands of situations.
select row_number() over (order by facts) as situation_id, facts, facts.*
from (select distinct facts from exposures.service_facts)
