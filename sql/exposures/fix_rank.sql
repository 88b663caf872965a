-- One row per published exposure × single removal: what its severity and score would be once done. Rank 1 lowers the score most.
-- Where an exposure is kept because it was not completely seen, no fix is promised to lower it.
with service as (
    select
        row_number() over () as service_number, exposure.resource_id, exposure.severity, exposure.score,
        as_is.severity <> exposure.severity as is_held
    from exposures.exposure as exposure
    join exposures.scenario as as_is on as_is.resource_id = exposure.resource_id and as_is.removed_kind = 'as_is'
    where exposure.severity <> 'INFORMATIONAL'
),
-- Ranked by numbers alone: a million names are not carried along.
single as (
    select
        service.service_number, removal.removal_number,
        case when service.is_held then service.severity else scenario.severity end as severity_after,
        case when service.is_held then service.score else scenario.score end as score_after
    from exposures.scenario as scenario
    join service on service.resource_id = scenario.resource_id
    join exposures.removal as removal on removal.removed_kind = scenario.removed_kind and removal.removed = scenario.removed
),
ranked as (
    select *, row_number() over (partition by service_number order by score_after, removal_number) as rank
    from single
)
select service.resource_id, ranked.* exclude (service_number)
from ranked
join service using (service_number)
