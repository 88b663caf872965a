-- Is the backlog of overdue exposures growing?
-- One row per day and group with an open exposure: how many of the open ones were past their due date that day, by severity.
-- `carried` is the part of `overdue` that could not be seen that day. One that is accepted is open, not overdue.
with exposure as (
    select
        snapshot_date, severity, is_carried, coalesce(due_date < snapshot_date, false) and accepted_until is null as is_overdue,
        history.group_name($by, account_id, account_name, ou_path, owner) as "group"
    from history.exposure
    where snapshot_date between $since and $until and severity <> 'INFORMATIONAL'
)
select
    snapshot_date,
    "group",
    count(*) as open,
    count(*) filter (where is_overdue) as overdue,
    count(*) filter (where is_overdue and severity = 'CRITICAL') as critical,
    count(*) filter (where is_overdue and severity = 'HIGH') as high,
    count(*) filter (where is_overdue and severity = 'MEDIUM') as medium,
    count(*) filter (where is_overdue and severity = 'LOW') as low,
    count(*) filter (where is_overdue and is_carried) as carried
from exposure
group by snapshot_date, "group"
order by snapshot_date, "group"
