-- Which exposures have been open the longest?
-- One row per exposure open on the last day of the period, oldest first. `days_open` counts from the day the present open stretch began.
select
    date_diff('day', coalesce(lifecycle.opened_date, exposure.first_observed_date), exposure.snapshot_date) as days_open,
    coalesce(lifecycle.opened_date, exposure.first_observed_date) as opened_date,
    exposure.severity,
    history.group_name($by, exposure.account_id, exposure.account_name, exposure.ou_path, exposure.owner) as "group",
    exposure.owner,
    exposure.due_date,
    exposure.is_carried,
    exposure.resource_id
from history.exposure as exposure
left join history.lifecycle as lifecycle
    on lifecycle.snapshot_date = exposure.snapshot_date and lifecycle.resource_id = exposure.resource_id
where exposure.snapshot_date = (select max(snapshot_date) from history.coverage where snapshot_date between $since and $until)
    and exposure.severity <> 'INFORMATIONAL'
order by case when $by is not null then "group" end, days_open desc, exposure.score desc, exposure.resource_id
