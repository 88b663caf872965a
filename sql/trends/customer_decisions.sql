-- What did people decide in Security Hub about our findings?
-- One row per day on which Security Hub was read back, and group: exposures as of that day whose finding was suppressed, by severity, and
-- those whose severity was overridden, downwards or upwards. `accepted` is the part of the suppressed whose risk was accepted. Each account
-- is read back once a week, so that a day tells of the accounts read on it alone: `places_read`, estate-wide.
with last_read as (
    select snapshot_date, account_id, region, max(read_at) as read_at
    from history.reconciliation
    where status = 'ok' and snapshot_date between $since and $until
    group by all
),
day as (
    select snapshot_date, count(*) as places_read
    from last_read
    group by snapshot_date
),
severity as (
    select unnest(['CRITICAL', 'HIGH', 'MEDIUM', 'LOW', 'INFORMATIONAL']) as name, unnest(range(5)) as rank
),
decision as (
    select
        decision.snapshot_date, exposure.severity, exposure.accepted_until,
        decision.workflow_status = 'SUPPRESSED' as is_suppressed,
        shown.rank > told.rank as is_lowered,
        shown.rank < told.rank as is_raised,
        history.group_name($by, exposure.account_id, exposure.account_name, exposure.ou_path, exposure.owner) as "group"
    from history.customer_decision as decision
    semi join last_read using (snapshot_date, account_id, region, read_at)
    join history.exposure as exposure using (snapshot_date, resource_id)
    left join severity as told on told.name = decision.severity_told
    left join severity as shown on shown.name = decision.severity_shown
)
select
    day.snapshot_date,
    coalesce(decision."group", 'all') as "group",
    count(*) filter (where is_suppressed and severity = 'CRITICAL') as suppressed_critical,
    count(*) filter (where is_suppressed and severity = 'HIGH') as suppressed_high,
    count(*) filter (where is_suppressed and severity in ('MEDIUM', 'LOW')) as suppressed_below,
    count(*) filter (where is_suppressed and accepted_until is not null) as accepted,
    count(*) filter (where is_lowered) as lowered,
    count(*) filter (where is_raised) as raised,
    day.places_read
from day
left join decision on decision.snapshot_date = day.snapshot_date
where decision."group" is not null or $by is null
group by all
order by day.snapshot_date, "group"
