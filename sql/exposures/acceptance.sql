-- One row per service whose severity's traits are all accepted today: until when, and the entry that ends first.
-- Where several entries in force accept one trait, the one that ends last does. An entry that is not yet in force prolongs nothing.
with in_force as (
    select resource_id, trait, {
        'expiry_date': expiry_date, 'account': account, 'service': service, 'trait': trait, 'accepted_date': accepted_date, 'owner': owner,
        'reason': reason
    } as entry
    from exposures.accepted_service
    where state = 'in_force'
),
needed as (
    select resource_id, unnest(severity_traits) as trait
    from exposures.severity_traits
    semi join in_force using (resource_id)
),
accepted as (
    select needed.resource_id, needed.trait, max(in_force.entry) as entry
    from needed
    join in_force on in_force.resource_id = needed.resource_id and in_force.trait in (needed.trait, '*')
    group by needed.resource_id, needed.trait
)
select
    resource_id,
    min(accepted.entry).expiry_date as accepted_until,
    min(accepted.entry).owner as accepted_by,
    min(accepted.entry).reason as accepted_reason
from needed
left join accepted using (resource_id, trait)
group by resource_id
having count(*) = count(accepted.entry)
