-- One row per thing that can be taken away from some exposure, numbered in the order in which equally good ones are told (closing one hop
-- comes before taking the service off the internet altogether): what it is, and how to do it.
with package as (
    select distinct removed, image_id, packages
    from exposures.image_set_removal
    where removed_kind = 'package'
),
upgrade as (
    select
        package.removed, package.image_id,
        any_value(package.packages) as packages,
        list_sort(list(distinct named.fixed_in_version) filter (where named.fixed_in_version <> 'NotAvailable'))[1:5] as fixed_in_versions,
        list_sort(list(distinct named.fix_command) filter (where named.fix_command is not null))[1:3] as fix_commands
    from package
    left join (
        select named.removed, named.image_id, vulnerability.fixed_in_version, vulnerability.fix_command
        from (select removed, image_id, unnest(packages) as package_name from package) as named
        join resources.image_report as row on row.image_id = named.image_id
        join resources.package_vulnerability as vulnerability
            on vulnerability.report_number = row.report_number and vulnerability.package_name = named.package_name
        where not vulnerability.is_suppressed
    ) as named using (removed, image_id)
    group by package.removed, package.image_id
),
described as (
    select
        'package' as removed_kind, removed, packages, coalesce(fixed_in_versions, []) as fixed_in_versions,
        coalesce(fix_commands, []) as fix_commands,
        case
            when len(fixed_in_versions) = 1 then 'Upgrade ' || named || ' to ' || fixed_in_versions[1] || ' in image ' || repository_name
            when len(fixed_in_versions) > 1 then 'Upgrade ' || named || ' to the highest of ' || array_to_string(fixed_in_versions, ', ')
                || ' in image ' || repository_name
            else 'Remove or replace ' || named || ' in image ' || repository_name || ': Amazon Inspector names no fixed version'
        end as description
    from (
        select
            upgrade.*, image.repository_name,
            array_to_string(packages[1:3], ', ') || case when len(packages) > 3 then ' and ' || (len(packages) - 3) || ' more' else '' end as named
        from upgrade
        join resources.image as image using (image_id)
        -- One digest in two repositories has one name: either is told.
        qualify row_number() over (partition by removed order by image_id) = 1
    )
    union all
    select 'image', image_digest, [], [], [],
        'Rebuild image ' || min(repository_name) || ' (' || left(image_digest, 19) || ') on patched packages and redeploy'
    from resources.image
    group by image_digest
    union all
    select 'trait', trait, [], [], [], fix
    from traits.catalogue
)
select
    row_number() over (order by removed_kind desc, removed = 'internet_reachable', removed) as removal_number,
    *
from described
