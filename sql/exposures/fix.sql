-- One row per published exposure × single removal: what its severity and score would be once done. Rank 1 lowers the score most.
-- Where an exposure is kept because it was not completely seen, no fix is promised to lower it.
with package as (
    select
        removal.image_set_id, removal.removed,
        any_value(removal.packages) as packages, any_value(image.repository_name) as repository_name,
        list_sort(list(distinct vulnerability.fixed_in_version) filter (
            where vulnerability.fixed_in_version is not null and vulnerability.fixed_in_version <> 'NotAvailable')) as versions
    from exposures.image_set_removal as removal
    join exposures.image as image on image.image_id = removal.image_id
    left join resources.image_vulnerability as vulnerability
        on vulnerability.registry_account = image.registry_account and vulnerability.region = image.region
        and vulnerability.repository_name = image.repository_name and vulnerability.image_digest = image.image_digest
        and list_contains(removal.packages, vulnerability.package_name)
        and not vulnerability.is_suppressed
    where removal.removed_kind = 'package'
    group by removal.image_set_id, removal.removed
),
described as (
    select
        image_set_id, 'package' as removed_kind, removed,
        case
            when len(versions) = 1 then 'Upgrade ' || named || ' to ' || versions[1] || ' in image ' || repository_name
            when len(versions) > 1 then 'Upgrade ' || named || ' to the highest of ' || array_to_string(versions[1:5], ', ')
                || ' in image ' || repository_name
            else 'Remove or replace ' || named || ' in image ' || repository_name || ': Amazon Inspector names no fixed version'
        end as description
    from (
        select *, array_to_string(packages[1:3], ', ') || case when len(packages) > 3 then ' and ' || (len(packages) - 3) || ' more' else '' end as named
        from package
    )
    union all
    select removal.image_set_id, 'image', removal.removed,
        'Rebuild image ' || image.repository_name || ' (' || left(image.image_digest, 19) || ') on patched packages and redeploy'
    from exposures.image_set_removal as removal
    join exposures.image as image on image.image_id = removal.image_id
    where removal.removed_kind = 'image'
),
single as (
    select
        scenario.resource_id, scenario.account_id, scenario.region, scenario.removed_kind, scenario.removed,
        coalesce(catalogue.fix, described.description) as description,
        exposure.severity as severity_before,
        case when as_is.severity <> exposure.severity then exposure.severity else scenario.severity end as severity_after,
        exposure.score as score_before,
        case when as_is.severity <> exposure.severity then exposure.score else scenario.score end as score_after
    from exposures.scenario as scenario
    join exposures.exposure as exposure on exposure.resource_id = scenario.resource_id
    join exposures.scenario as as_is on as_is.resource_id = scenario.resource_id and as_is.removed_kind = 'as_is'
    left join exposures.service_image_set as images on images.resource_id = scenario.resource_id
    left join described
        on described.image_set_id = images.image_set_id and described.removed_kind = scenario.removed_kind
        and described.removed = scenario.removed
    left join traits.catalogue as catalogue on scenario.removed_kind = 'trait' and catalogue.trait = scenario.removed
    where scenario.removed_kind <> 'as_is' and exposure.severity <> 'INFORMATIONAL'
)
select
    *,
    -- Among equals, closing one hop comes before taking the service off the internet altogether.
    row_number() over (
        partition by resource_id order by score_after, removed_kind desc, removed = 'internet_reachable', removed) as rank
from single
