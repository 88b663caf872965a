-- One row per service of which a risk is accepted today: the traits that its severity rests on and that are accepted and, where all of them
-- are, until when, by the entry that ends first.
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
),
folded as (
    select
        resource_id,
        list_sort(list(needed.trait) filter (where accepted.entry is not null)) as accepted_traits,
        case when count(*) = count(accepted.entry) then min(accepted.entry) end as first_ending
    from needed
    left join accepted using (resource_id, trait)
    group by resource_id
)
select
    resource_id, accepted_traits, first_ending.expiry_date as accepted_until, first_ending.owner as accepted_by,
    first_ending.reason as accepted_reason
from folded
where accepted_traits is not null
