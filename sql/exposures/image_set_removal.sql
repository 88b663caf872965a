-- One row per image set × thing taken from its images: nothing, each image, images together, the five package sets that matter most, and
-- the vulnerabilities of either trait. removed_places are the places that go (`rest` of an image is all its places that no
-- package removal of the set touches); removed_priority the vulnerabilities that go.
-- A package set is removed whole (packages built from one source are fixed together), and with it every subset of it.
with member as (
    select distinct image_set_id, unnest(image_ids) as image_id
    from exposures.service_image_set
),
place as (
    select
        cve.image_id, level.package_set, hash(cve.image_id, level.package_set) as place_id,
        min(level.vulnerability_number) as vulnerability_number,
        max(level.level_exposed) as level, bool_or(level.kev) as has_kev,
        count(*) filter (where level.is_exploitation_likely) as likely_count, count(*) as vulnerability_count
    from resources.image_cve as cve
    join exposures.report_set_level as level using (report_set)
    where not level.is_kernel
    group by cve.image_id, level.package_set
),
-- Which matter most is told by what does not drift from night to night: never by p, or the fixes named would change with it.
-- The five least of each image, then of each set, by bounded heaps: a window would sort every place of every image.
worst_of_image as (
    select
        image_id,
        unnest(min({
            'level': -coalesce(level, 0), 'lacks_kev': not has_kev, 'likely': -likely_count, 'total': -vulnerability_count,
            'image_id': image_id, 'package_set': package_set, 'vulnerability_number': vulnerability_number
        }, 5)) as worst
    from place
    group by image_id
),
candidate as (
    select member.image_set_id, unnest(min(worst_of_image.worst, 5)) as worst
    from member
    join worst_of_image using (image_id)
    group by member.image_set_id
),
-- Names are looked up for what is offered, through any one vulnerability of the place.
named_place as (
    select offered.image_id, offered.package_set, list_sort(list(distinct package.package_name)) as packages
    from (
        select distinct worst.image_id as image_id, worst.package_set as package_set, worst.vulnerability_number as vulnerability_number
        from candidate
    ) as offered
    join resources.image_report as row on row.image_id = offered.image_id
    join resources.package_vulnerability as package
        on package.report_number = row.report_number and package.vulnerability_number = offered.vulnerability_number
    where not package.is_suppressed and not package.is_kernel_package
    group by offered.image_id, offered.package_set
),
-- Of the images where a set of several packages is offered, the places inside it.
several as (
    select distinct image_id from named_place where len(packages) > 1
),
inner_place as (
    select place.image_id, place.place_id, list(distinct package.package_name) as packages
    from place
    join several using (image_id)
    join resources.image_report as row on row.image_id = place.image_id
    join resources.package_vulnerability as package
        on package.report_number = row.report_number and package.vulnerability_number = place.vulnerability_number
    where not package.is_suppressed and not package.is_kernel_package
    group by place.image_id, place.place_id
),
place_of_candidate as (
    select candidate.image_set_id, named_place.image_id, named_place.packages, hash(named_place.image_id, named_place.package_set) as place_id
    from candidate
    join named_place on named_place.image_id = candidate.worst.image_id and named_place.package_set = candidate.worst.package_set
    union
    select candidate.image_set_id, named_place.image_id, named_place.packages, inner_place.place_id
    from candidate
    join named_place on named_place.image_id = candidate.worst.image_id and named_place.package_set = candidate.worst.package_set
    join inner_place
        on inner_place.image_id = named_place.image_id and list_has_all(named_place.packages, inner_place.packages)
    where len(named_place.packages) > 1
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
    join resources.image as image on image.image_id = candidate.image_id
    group by all
),
-- Whole images: one digest (in two repositories it has one name: both go), those that some changes rebuild, those a what-if calls clean.
whole as (
    select member.image_set_id, 'image' as removed_kind, image.image_digest as removed, list(image.image_id) as image_ids
    from member
    join resources.image as image on image.image_id = member.image_id
    where member.image_id in (select image_id from worst_of_image)
        or image.image_digest in (select image_digest from exposures.image_trait)
    group by member.image_set_id, image.image_digest
    union all
    select distinct image_set_id, image_kind, image_removed, removed_images
    from exposures.remediation_set
    where image_kind = 'images'
    union all
    -- Of every set, with no image among the others, as a what-if may ask for less than whole images.
    select
        member.image_set_id, 'what_if', '',
        list_append(coalesce(list(image.image_id) filter (
            where list_contains(asked.clean_digests, image.image_digest)
                or list_has_all(asked.removed_traits, ['high_priority_vulnerability', 'vulnerability'])
        ), []), null)
    from member
    join resources.image as image on image.image_id = member.image_id
    cross join run.what_if as asked
    group by member.image_set_id
)
select image_set_id, 'as_is' as removed_kind, '' as removed, []::ubigint[] as removed_places, null::boolean as removed_priority,
    null::bigint as image_id, []::varchar[] as packages
from exposures.service_image_set
group by all
union all
select
    whole.image_set_id, whole.removed_kind, whole.removed,
    list_sort(list_distinct(flatten(list(list_append(coalesce(named.removed_places, []), hash(whole.image_id, 'rest')))))),
    any_value(asked.removed_priority), min(whole.image_id), []
from (select image_set_id, removed_kind, removed, unnest(image_ids) as image_id from whole) as whole
left join named on named.image_set_id = whole.image_set_id and named.image_id = whole.image_id
-- A what-if that leaves out one of the two traits of vulnerabilities leaves out theirs in all images.
left join (
    select 'what_if' as removed_kind, list_contains(removed_traits, 'high_priority_vulnerability') as removed_priority
    from run.what_if
    where list_has_any(removed_traits, ['high_priority_vulnerability', 'vulnerability'])
) as asked on asked.removed_kind = whole.removed_kind
group by whole.image_set_id, whole.removed_kind, whole.removed
union all
select image_set_id, removed_kind, removed, list_sort(list_distinct(flatten(list(removed_places)))), null, min(image_id), any_value(packages)
from named
group by image_set_id, removed_kind, removed
union all
select image_set_id, 'trait', trait, [], high_priority, null, []
from exposures.service_image_set
cross join (values ('high_priority_vulnerability', true), ('vulnerability', false)) as gone (trait, high_priority)
group by all
