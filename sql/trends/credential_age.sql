-- Which credentials in clear are used in how many services, and when was each last changed?
-- One row per credential in clear on the last day of the period and place it stands in, the most shared first. `services` counts all that hold
-- the same value; `days_unchanged` counts from the first day of the period on which this value stood there; `times_changed` how often it was
-- changed in place. Values are told apart by keyed fingerprints: another fingerprint key makes every credential look changed once.
with held as (
    select
        hit.snapshot_date, hit.resource_id, hit.is_carried,
        place.container, place.source, place.variable, place.fingerprint
    from (
        select
            snapshot_date, resource_id, is_carried,
            unnest(from_json(evidence, '[{"container": "VARCHAR", "source": "VARCHAR", "variable": "VARCHAR", "fingerprint": "VARCHAR"}]')) as place
        from history.trait_hit
        where snapshot_date between $since and $until
            and trait = 'cleartext_credentials' and state = 'hit'
    ) as hit
),
value as (
    select resource_id, container, source, variable, fingerprint, min(snapshot_date) as unchanged_since
    from held
    group by all
),
place as (
    select resource_id, container, source, variable, count(distinct fingerprint) - 1 as times_changed
    from held
    group by all
),
last_day as (
    select max(snapshot_date) as snapshot_date from history.coverage where snapshot_date between $since and $until
),
sharing as (
    select held.fingerprint, count(distinct held.resource_id) as services
    from held
    join last_day using (snapshot_date)
    group by held.fingerprint
)
select distinct
    sharing.services,
    date_diff('day', value.unchanged_since, held.snapshot_date) as days_unchanged,
    place.times_changed,
    held.variable, held.source, held.container,
    history.group_name($by, exposure.account_id, exposure.account_name, exposure.ou_path, exposure.owner) as "group",
    exposure.owner,
    held.is_carried,
    held.resource_id
from held
join last_day using (snapshot_date)
join value using (resource_id, container, source, variable, fingerprint)
join place using (resource_id, container, source, variable)
join sharing using (fingerprint)
join history.exposure as exposure on exposure.snapshot_date = held.snapshot_date and exposure.resource_id = held.resource_id
order by case when $by is not null then "group" end, services desc, days_unchanged desc, held.variable, held.resource_id
