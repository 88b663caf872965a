-- One row per published exposure × non-empty set of the changes that touch it (bit n of `changes`: the change at position n): the severity
-- and score once all of the set are made. Where an exposure is kept because it was not completely seen, none lowers it.
select
    service.resource_id, service.account_id, service.region, set.changes,
    case when as_is.severity <> service.severity then service.severity else outcome.severity end as severity,
    case when as_is.severity <> service.severity then service.score else outcome.score end as score
from exposures.remediation_set as set
join exposures.exposure as service on service.resource_id = set.resource_id and service.severity <> 'INFORMATIONAL'
join exposures.outcome as as_is
    on as_is.situation_id = set.situation_id and coalesce(as_is.image_set_id, 0) = coalesce(set.image_set_id, 0)
    and as_is.without = '' and as_is.image_kind = 'as_is'
join exposures.outcome as outcome
    on outcome.situation_id = set.situation_id and coalesce(outcome.image_set_id, 0) = coalesce(set.image_set_id, 0)
    and outcome.without = set.without and outcome.image_kind = set.image_kind and outcome.image_removed = set.image_removed
