-- One row per service of which a risk is accepted today: the traits that its severity rests on and that are accepted and, where all of them
-- are, until when, by the entry that ends first.
-- Where several entries in force accept one trait, the one that ends last does. An entry that is not yet in force prolongs nothing.
with in_force as (
    select resource_id, trait, entry_id
    from exposures.accepted_service
    where state = 'in_force'
),
needed as (
    select resource_id, unnest(severity_traits) as trait
    from exposures.severity_traits
    semi join in_force using (resource_id)
),
accepted as (
    select needed.resource_id, needed.trait, max(in_force.entry_id) as entry_id
    from needed
    left join in_force on in_force.resource_id = needed.resource_id and in_force.trait in (needed.trait, '*')
    group by needed.resource_id, needed.trait
),
folded as (
    select
        resource_id,
        list_sort(list(trait) filter (where entry_id is not null)) as accepted_traits,
        case when count(*) = count(entry_id) then min(entry_id) end as first_ending
    from accepted
    group by resource_id
    having count(entry_id) > 0
)
select
    folded.resource_id, folded.accepted_traits, entry.expiry_date as accepted_until, entry.owner as accepted_by, entry.reason as accepted_reason
from folded
left join exposures.accepted_entry as entry on entry.entry_id = folded.first_ending
