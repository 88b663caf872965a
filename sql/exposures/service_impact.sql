-- One row per service with a trait that hits or is unknown: the impact of its compromise as it is, and what decides it, in words.
with reason as (
    select
        reason.resource_id,
        list_sort(list(distinct reason.reason))[1:3] as reasons
    from exposures.impact_reason as reason
    join exposures.service_situation as service on service.resource_id = reason.resource_id
    join exposures.impact as impact
        on impact.situation_id = service.situation_id and impact.without = '' and impact.impact = reason.impact
    group by reason.resource_id
)
select
    service.resource_id, impact.impact,
    coalesce(array_to_string(reason.reasons, '; '), 'nothing found that a compromise would give beyond the service itself') as impact_reason
from exposures.service_situation as service
join exposures.impact as impact on impact.situation_id = service.situation_id and impact.without = ''
left join reason on reason.resource_id = service.resource_id
