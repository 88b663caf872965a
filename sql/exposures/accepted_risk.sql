-- One row per entry of the file of accepted risks: whether it is in force, what it matches, and whether it ever did.
with matched as (
    select
        entry.entry_id,
        count(*) as services,
        count(*) filter (where entry.state = 'in_force' and exposure.accepted_until is not null) as accepted_exposures
    from exposures.accepted_service as entry
    join exposures.exposure as exposure on exposure.resource_id = entry.resource_id
    where list_contains(exposure.traits, entry.trait) or list_contains(exposure.severity_traits, entry.trait)
        or (entry.trait = '*' and len(exposure.traits) > 0)
    group by entry.entry_id
)
select
    entry.account, entry.service, entry.trait, entry.reason, entry.owner, entry.accepted_date, entry.expiry_date, entry.state,
    coalesce(matched.services, 0) as services,
    coalesce(matched.accepted_exposures, 0) as accepted_exposures,
    case when matched.services > 0 then day.snapshot_date else before.last_matched_date end as last_matched_date
from exposures.accepted_entry as entry
cross join run.day as day
left join matched on matched.entry_id = entry.entry_id
left join previous.accepted_risk as before
    on before.account = entry.account and before.service = entry.service and before.trait = entry.trait
    and before.accepted_date = entry.accepted_date
