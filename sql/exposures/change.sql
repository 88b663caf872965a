-- One row per service whose exposure differs from that of the previous assessed day. Open is LOW or above.
-- The cause is `rules` when yesterday's snapshot under today's SQL (rebased) already gives what there is today.
with today as (
    select exposure.*, level.level
    from exposures.exposure as exposure
    join reference.severity as level using (severity)
),
before as (
    select exposure.*, level.level
    from previous.exposure as exposure
    join reference.severity as level using (severity)
),
-- A service that is gone was removed only if its Region's services were seen today; else nobody knows.
seen as (
    select account_id, region from snapshot.coverage where dataset = 'service' and status = 'ok'
),
compared as (
    select
        coalesce(today.resource_id, before.resource_id) as resource_id,
        coalesce(today.account_id, before.account_id) as account_id,
        coalesce(today.region, before.region) as region,
        before.severity as severity_before, today.severity as severity_after,
        coalesce(before.level, 1) as level_before, coalesce(today.level, 1) as level_after,
        coalesce(before.traits, []) as traits_before, coalesce(today.traits, []) as traits_after,
        today.resource_id is null as is_gone,
        before.resource_id is null as is_new,
        coalesce(today.service_name, before.service_name) as service_name,
        coalesce(today.cluster_name, before.cluster_name) as cluster_name,
        coalesce(today.account_name, before.account_name) as account_name,
        coalesce(today.ou_path, before.ou_path) as ou_path,
        coalesce(today.owner, before.owner) as owner
    from today
    full join before on before.resource_id = today.resource_id
),
named as (
    select
        compared.*,
        case
            when level_before > 1 and level_after = 1 then 'resolved'
            when level_before = 1 and level_after > 1 then 'opened'
            when level_after > level_before then 'worsened'
            when level_after < level_before then 'improved'
            when not is_gone and not is_new and traits_after is distinct from traits_before then 'changed'
        end as change
    from compared
)
select
    named.resource_id, named.account_id, named.region, named.change,
    case
        when rebased.severity is not distinct from named.severity_after
            and coalesce(rebased.traits, []) is not distinct from named.traits_after then 'rules'
        else 'estate'
    end as cause,
    named.severity_before, named.severity_after,
    list_sort(list_filter(named.traits_after, lambda trait: not list_contains(named.traits_before, trait))) as traits_added,
    list_sort(list_filter(named.traits_before, lambda trait: not list_contains(named.traits_after, trait))) as traits_removed,
    ever.opened_date,
    named.service_name, named.cluster_name, named.account_name, named.ou_path, named.owner
from named
cross join run.day as day
left join rebased.exposure as rebased on rebased.resource_id = named.resource_id
left join previous.lifecycle as ever on ever.resource_id = named.resource_id
left join seen on seen.account_id = named.account_id and seen.region = named.region
where named.change is not null
    and day.previous_date is not null
    and (not named.is_gone or seen.account_id is not null)
