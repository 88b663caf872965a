-- Is the mix getting lighter: what share of the open exposures is at each severity, day by day?
-- One row per day and group with an open exposure; shares in percent of all open ones, carried ones included because they are still open.
with exposure as (
    select
        snapshot_date, severity, score, is_carried,
        history.group_name($by, account_id, account_name, ou_path, owner) as "group"
    from history.exposure
    where snapshot_date between $since and $until and severity <> 'INFORMATIONAL'
)
select
    snapshot_date,
    "group",
    count(*) as open,
    round(100.0 * count(*) filter (where severity = 'CRITICAL') / count(*), 1) as critical_percent,
    round(100.0 * count(*) filter (where severity = 'HIGH') / count(*), 1) as high_percent,
    round(100.0 * count(*) filter (where severity = 'MEDIUM') / count(*), 1) as medium_percent,
    round(100.0 * count(*) filter (where severity = 'LOW') / count(*), 1) as low_percent,
    round(avg(score), 1) as mean_score,
    round(100.0 * count(*) filter (where is_carried) / count(*), 1) as carried_percent
from exposure
group by snapshot_date, "group"
order by snapshot_date, "group"
