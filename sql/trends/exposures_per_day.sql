-- How many services were exposed at each severity, day by day?
-- One row per assessed day and group. The severities count what was seen that day; `carried` counts open exposures that could not be seen
-- and are carried over from an earlier day. `accepted` counts those among all of these that are accepted until some day.
-- `accounts_not_seen` is estate-wide: while it is not 0, the other figures are minimums.
-- A group begins with the first day it had an exposure; from then on a day without any is a true 0.
with day as (
    select
        snapshot_date,
        count(distinct account_id) filter (where status in ('denied', 'failed', 'invalid')) as accounts_not_seen
    from history.coverage
    where snapshot_date between $since and $until
    group by snapshot_date
),
exposure as (
    select
        snapshot_date, severity, is_carried, accepted_until,
        history.group_name($by, account_id, account_name, ou_path, owner) as "group"
    from history.exposure
    where snapshot_date between $since and $until
),
line as (
    select "group", min(snapshot_date) as first_date from exposure group by "group"
    union all
    select 'all', min(snapshot_date) from day where $by is null having not exists (from exposure) and min(snapshot_date) is not null
)
select
    day.snapshot_date,
    line."group",
    count(*) filter (where exposure.severity = 'CRITICAL' and not exposure.is_carried) as critical,
    count(*) filter (where exposure.severity = 'HIGH' and not exposure.is_carried) as high,
    count(*) filter (where exposure.severity = 'MEDIUM' and not exposure.is_carried) as medium,
    count(*) filter (where exposure.severity = 'LOW' and not exposure.is_carried) as low,
    count(*) filter (where exposure.severity = 'INFORMATIONAL' and not exposure.is_carried) as informational,
    count(*) filter (where exposure.severity <> 'INFORMATIONAL' and exposure.is_carried) as carried,
    count(*) filter (where exposure.accepted_until is not null) as accepted,
    day.accounts_not_seen
from day
join line on day.snapshot_date >= line.first_date or $by is null
left join exposure on exposure.snapshot_date = day.snapshot_date and exposure."group" = line."group"
group by all
order by day.snapshot_date, line."group"
