-- Which traits are the most common, and is each becoming rarer?
-- One row per trait and group: services that have it on the last day of the period and on the first, and the difference. `carried` is the
-- part of `services` that could not be seen on the last day; `unknown` counts services where the trait could not be decided at all.
with edge as (
    select min(snapshot_date) as first_date, max(snapshot_date) as last_date
    from history.coverage
    where snapshot_date between $since and $until
),
exposure as (
    select
        snapshot_date, resource_id,
        history.group_name($by, account_id, account_name, ou_path, owner) as "group"
    from history.exposure
    where snapshot_date between $since and $until
        and (snapshot_date = (select last_date from edge) or snapshot_date = (select first_date from edge))
),
hit as (
    select trait_hit.trait, trait_hit.category, trait_hit.state, trait_hit.is_carried, exposure."group",
        trait_hit.snapshot_date = edge.last_date as is_last,
        trait_hit.snapshot_date = edge.first_date as is_first
    from history.trait_hit as trait_hit
    join exposure on exposure.snapshot_date = trait_hit.snapshot_date and exposure.resource_id = trait_hit.resource_id
    cross join edge
    where trait_hit.snapshot_date between $since and $until
)
select
    trait,
    category,
    "group",
    count(*) filter (where is_last and state = 'hit') as services,
    count(*) filter (where is_first and state = 'hit') as services_on_first_day,
    services - services_on_first_day as difference,
    count(*) filter (where is_last and state = 'hit' and is_carried) as carried,
    count(*) filter (where is_last and state = 'unknown') as unknown
from hit
group by trait, category, "group"
order by services desc, trait, "group"
