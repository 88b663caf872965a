-- One row per exposed service × removal (`as_is` removes nothing): the severity and score that would remain.
select
    service.resource_id, service.account_id, service.region,
    removal.removed_kind, removal.removed, removal.severity, removal.score
from (
    select situation.resource_id, service.account_id, service.region, situation.situation_id, images.image_set_id
    from exposures.service_situation as situation
    join resources.service as service on service.resource_id = situation.resource_id
    left join exposures.service_image_set as images on images.resource_id = situation.resource_id
) as service
join (
    select removal.*, outcome.severity, outcome.score
    from exposures.single_removal as removal
    join exposures.outcome as outcome
        on outcome.trait_scenario_id = removal.trait_scenario_id and outcome.image_scenario_id = removal.image_scenario_id
) as removal
    on removal.situation_id = service.situation_id and coalesce(removal.image_set_id, 0) = coalesce(service.image_set_id, 0)
