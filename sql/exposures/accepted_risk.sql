-- One row per entry of the file of accepted risks: whether it is in force, what it matches, and whether it ever did.
with matched as (
    select
        entry.account, entry.service, entry.trait, entry.accepted_date,
        count(*) as services,
        count(*) filter (where entry.state = 'in_force' and exposure.accepted_until is not null) as accepted_exposures
    from exposures.accepted_service as entry
    join exposures.exposure as exposure on exposure.resource_id = entry.resource_id
    where list_contains(exposure.traits, entry.trait) or list_contains(exposure.severity_traits, entry.trait)
        or (entry.trait = '*' and len(exposure.traits) > 0)
    group by entry.account, entry.service, entry.trait, entry.accepted_date
)
select
    risk.account, risk.service, risk.trait, risk.reason, risk.owner, risk.accepted_date, risk.expiry_date, risk.state,
    coalesce(matched.services, 0) as services,
    coalesce(matched.accepted_exposures, 0) as accepted_exposures,
    case when matched.services > 0 then day.snapshot_date else before.last_matched_date end as last_matched_date
from exposures.accepted_entry as risk
cross join run.day as day
left join matched using (account, service, trait, accepted_date)
left join previous.accepted_risk as before using (account, service, trait, accepted_date)
