-- Are exposures being fixed faster than new ones appear?
-- One row per assessed day and group. The first four counts are changes of the estate; what only a change of our rules explains is counted
-- apart (`opened_by_rules`, `resolved_by_rules`). `open` was seen that day, `carried` is open but could not be seen: it cannot be resolved.
with event as (
    select
        snapshot_date, change, cause, null::boolean as is_carried,
        history.group_name($by, account_id, account_name, ou_path, owner) as "group"
    from history.change
    where snapshot_date between $since and $until
    union all
    select
        snapshot_date, null, null, is_carried,
        history.group_name($by, account_id, account_name, ou_path, owner)
    from history.exposure
    where snapshot_date between $since and $until and severity <> 'INFORMATIONAL'
    union all
    select distinct snapshot_date, null, null, null::boolean, 'all'
    from history.coverage
    where snapshot_date between $since and $until and $by is null
)
select
    snapshot_date,
    "group",
    count(*) filter (where change = 'opened' and cause = 'estate') as opened,
    count(*) filter (where change = 'resolved' and cause = 'estate') as resolved,
    count(*) filter (where change = 'worsened' and cause = 'estate') as worsened,
    count(*) filter (where change = 'improved' and cause = 'estate') as improved,
    count(*) filter (where change = 'opened' and cause = 'rules') as opened_by_rules,
    count(*) filter (where change = 'resolved' and cause = 'rules') as resolved_by_rules,
    count(*) filter (where not is_carried) as open,
    count(*) filter (where is_carried) as carried
from event
group by snapshot_date, "group"
order by snapshot_date, "group"
