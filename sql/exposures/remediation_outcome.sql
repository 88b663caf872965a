-- One row per published exposure × non-empty set of the changes that touch it (bit n of `changes`: the change at position n): the severity
-- and score once all of the set are made. Where an exposure is kept because it was not completely seen, none lowers it.
select
    service.resource_id, service.account_id, service.region, set.changes,
    case when as_is.severity <> service.severity then service.severity else outcome.severity end as severity,
    case when as_is.severity <> service.severity then service.score else outcome.score end as score
from exposures.remediation_set as set
join exposures.exposure as service on service.resource_id = set.resource_id and service.severity <> 'INFORMATIONAL'
join exposures.outcome as as_is
    on as_is.trait_scenario_id = hash(set.situation_id, '') and as_is.image_scenario_id = hash(set.image_set_id, 'as_is', '')
join exposures.outcome as outcome
    on outcome.trait_scenario_id = set.trait_scenario_id and outcome.image_scenario_id = set.image_scenario_id
