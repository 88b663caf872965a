-- One row per service that ever had an exposure: first_observed_date never moves, whatever happens in between.
-- Of a service that is gone while its Region was not seen, the open stretch goes on.
with seen as (
    select account_id, region from snapshot.coverage where dataset = 'service' and status = 'ok'
)
select
    coalesce(exposure.resource_id, before.resource_id) as resource_id,
    coalesce(exposure.account_id, before.account_id) as account_id,
    coalesce(exposure.region, before.region) as region,
    coalesce(least(before.first_observed_date, exposure.first_observed_date), day.snapshot_date) as first_observed_date,
    case when exposure.resource_id is not null then day.snapshot_date else before.last_observed_date end as last_observed_date,
    case
        when exposure.severity <> 'INFORMATIONAL' then coalesce(before.opened_date, day.snapshot_date)
        when exposure.resource_id is null and seen.account_id is null then before.opened_date
    end as opened_date
from exposures.exposure as exposure
full join previous.lifecycle as before on before.resource_id = exposure.resource_id
cross join run.day as day
left join seen
    on seen.account_id = coalesce(exposure.account_id, before.account_id) and seen.region = coalesce(exposure.region, before.region)
