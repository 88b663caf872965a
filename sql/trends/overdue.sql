-- Which exposures are past the day by which they should be gone?
-- One row per exposure open on the last day of the period whose due date has passed, the most overdue first. One that is accepted is not
-- overdue; it is again once that ends.
select
    date_diff('day', due_date, snapshot_date) as days_overdue,
    due_date,
    severity,
    history.group_name($by, account_id, account_name, ou_path, owner) as "group",
    owner,
    driver,
    is_carried,
    resource_id
from history.exposure
where snapshot_date = (select max(snapshot_date) from history.coverage where snapshot_date between $since and $until)
    and severity <> 'INFORMATIONAL'
    and due_date < snapshot_date
    and accepted_until is null
order by case when $by is not null then "group" end, days_overdue desc, score desc, resource_id
