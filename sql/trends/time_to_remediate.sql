-- How many days does it take to get rid of an exposure, by severity?
-- One row per severity and group: median and 90th percentile, in days from opening to resolution, of what the estate resolved in the period
-- (severity: the last one before it was resolved). What our rules closed is not a remediation. `still_open` on the last day tells what the
-- figures leave out: exposures nobody has fixed yet; `still_open_days_median` is their age.
with last_day as (
    select max(snapshot_date) as snapshot_date from history.coverage where snapshot_date between $since and $until
),
event as (
    select
        severity_before as severity, date_diff('day', opened_date, snapshot_date) as days, null::bigint as age, true as is_resolved,
        history.group_name($by, account_id, account_name, ou_path, owner) as "group"
    from history.change
    where snapshot_date between $since and $until and change = 'resolved' and cause = 'estate'
    union all
    select
        exposure.severity, null, date_diff('day', lifecycle.opened_date, exposure.snapshot_date), false,
        history.group_name($by, exposure.account_id, exposure.account_name, exposure.ou_path, exposure.owner)
    from history.exposure as exposure
    join last_day using (snapshot_date)
    left join history.lifecycle as lifecycle
        on lifecycle.snapshot_date = exposure.snapshot_date and lifecycle.resource_id = exposure.resource_id
    where exposure.severity <> 'INFORMATIONAL'
)
select
    severity,
    "group",
    count(*) filter (where is_resolved) as resolved,
    round(median(days), 1) as days_median,
    round(quantile_cont(days, 0.9), 1) as days_p90,
    count(*) filter (where not is_resolved) as still_open,
    round(median(age), 1) as still_open_days_median
from event
group by severity, "group"
order by list_position(['CRITICAL', 'HIGH', 'MEDIUM', 'LOW', 'INFORMATIONAL'], severity), "group"
