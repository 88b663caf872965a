-- One row per entry of the accepted risks × service that it names, whether the service has the trait or not.
-- Each pattern is held against each name once. As tables of their own: else all services would meet all entries first.
with named as (
    select resource_id, account_id, cluster_name || '/' || service_name as name
    from resources.service
),
entry_account as materialized (
    select entry.entry_id, entry.trait, entry.state, entry.pattern, account.account_id
    from exposures.accepted_entry as entry
    join (select distinct account_id from named) as account on account.account_id glob entry.account
),
pattern_service as materialized (
    select matched.pattern, named.resource_id, named.account_id
    from (
        select pattern.pattern, name.name
        from (select distinct pattern from exposures.accepted_entry) as pattern
        join (select distinct name from named) as name on name.name glob pattern.pattern
    ) as matched
    join named on named.name = matched.name
)
select service.resource_id, entry.entry_id, entry.trait, entry.state
from entry_account as entry
join pattern_service as service on service.pattern = entry.pattern and service.account_id = entry.account_id
