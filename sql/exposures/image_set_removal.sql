-- One row per image set × thing taken from its images: nothing, each image, the five package sets that matter most, and the
-- vulnerabilities of either trait. removed_places are the places that go (`rest` of an image is all its places that no
-- package removal of the set touches); removed_priority the vulnerabilities that go.
-- A package set is removed whole (packages built from one source are fixed together), and with it every subset of it.
with member as (
    select distinct image_set_id, unnest(image_ids) as image_id
    from exposures.service_image_set
),
place as (
    select
        image_id, packages, place_id,
        max(level_exposed) as level, bool_or(kev) as has_kev,
        count(*) filter (where is_exploitation_likely) as likely_count, count(*) as vulnerability_count
    from exposures.image_cve
    where not is_kernel
    group by image_id, packages, place_id
),
-- Which matter most is told by what does not drift from night to night: never by p, or the fixes named would change with it.
candidate as (
    -- The five least of each set, by a bounded heap: a window would sort every place of every image.
    select image_set_id, worst.image_id, worst.packages
    from (
        select
            member.image_set_id,
            unnest(min({
                'level': -coalesce(place.level, 0), 'lacks_kev': not place.has_kev, 'likely': -place.likely_count,
                'total': -place.vulnerability_count, 'image_id': place.image_id, 'packages': place.packages
            }, 5)) as worst
        from member
        join place on place.image_id = member.image_id
        group by member.image_set_id
    ) as five
),
place_of_candidate as (
    select candidate.*, place.place_id
    from candidate
    join place on place.image_id = candidate.image_id and place.packages = candidate.packages
    union all
    select candidate.*, place.place_id
    from candidate
    join place
        on place.image_id = candidate.image_id
        and len(place.packages) < len(candidate.packages)
        and list_has_all(candidate.packages, place.packages)
    where len(candidate.packages) > 1
),
named as (
    select
        candidate.image_set_id, 'package' as removed_kind,
        case
            when length(array_to_string(candidate.packages, '+')) <= 120 then array_to_string(candidate.packages, '+')
            else candidate.packages[1] || '+' || (len(candidate.packages) - 1) || ' more '
                || left(md5(array_to_string(candidate.packages, '+')), 6)
        end || '@' || image.image_digest as removed,
        candidate.image_id, candidate.packages,
        list_sort(list(candidate.place_id)) as removed_places
    from place_of_candidate as candidate
    join exposures.image as image on image.image_id = candidate.image_id
    group by all
)
select image_set_id, 'as_is' as removed_kind, '' as removed, []::ubigint[] as removed_places, null::boolean as removed_priority,
    null::bigint as image_id, []::varchar[] as packages
from exposures.service_image_set
group by all
union all
select
    member.image_set_id, 'image', image.image_digest,
    list_sort(list_distinct(flatten(list(list_append(coalesce(named.removed_places, []), hash(image.image_id, 'rest')))))),
    null, min(image.image_id), []
from member
join exposures.image as image on image.image_id = member.image_id
left join named on named.image_set_id = member.image_set_id and named.image_id = member.image_id
where exists (select 1 from place where place.image_id = member.image_id)
    or exists (select 1 from exposures.image_trait as taken where taken.image_digest = image.image_digest)
group by member.image_set_id, image.image_digest
union all
-- One digest in two repositories has one name: both go.
select image_set_id, removed_kind, removed, list_sort(list_distinct(flatten(list(removed_places)))), null, min(image_id), any_value(packages)
from named
group by image_set_id, removed_kind, removed
union all
select image_set_id, 'trait', trait, [], high_priority, null, []
from exposures.service_image_set
cross join (values ('high_priority_vulnerability', true), ('vulnerability', false)) as gone (trait, high_priority)
group by all
