-- One row per finding asked for ($finding_ids): everything it says, from the results stored of the day it is told on, before it is put
-- in AWS's format. Run by the publisher for the findings it sends; the reader is ecs_exposure/securityhub/asff.py.
with wanted as materialized (
    select finding.finding_id, finding.resource_id
    from today.finding as finding
    semi join (select unnest($finding_ids) as finding_id) as asked on asked.finding_id = finding.finding_id
),
trait_detail as (
    select
        resource_id,
        list_sort(list({'state': state, 'trait': trait, 'category': category, 'evidence': evidence, 'is_carried': is_carried}))
            as trait_details
    from today.trait_hit
    semi join wanted using (resource_id)
    group by resource_id
),
image as (
    select
        resource_id,
        list_sort(list(distinct {
            'image': image, 'image_digest': image_digest, 'registry_account': registry_account, 'registry_region': registry_region,
            'repository_name': repository_name, 'scan_status': scan_status
        })) as images
    from today.service_image
    semi join wanted using (resource_id)
    group by resource_id
),
digest as (
    select distinct resource_id, registry_account, registry_region as region, repository_name, image_digest
    from today.service_image
    semi join wanted using (resource_id)
),
package as (
    select digest.resource_id, row.*
    from today.image_vulnerability as row
    join digest using (registry_account, region, repository_name, image_digest)
    where not row.is_suppressed and not coalesce(row.is_malicious_package, false)
),
-- The likeliest to be exploited; how many there are is exposure.vulnerability_count.
likeliest as (
    select
        resource_id, vulnerability_id,
        max(epss) as epss,
        bool_or(exploit_available) as exploit_available,
        row_number() over (
            partition by resource_id
            order by bool_and(is_kernel_package), bool_or(high_priority) desc, bool_or(coalesce(kev, false)) desc,
                max(probability) desc nulls last, max(cvss_base_score) desc nulls last, vulnerability_id
        ) as rank
    from package
    group by resource_id, vulnerability_id
    qualify rank <= 10
),
told as (
    select
        likeliest.resource_id, likeliest.vulnerability_id, likeliest.rank, likeliest.epss, likeliest.exploit_available,
        max({'score': package.cvss_base_score, 'vector': package.cvss_vector}) filter (where package.cvss_vector is not null) as scored,
        list_sort(list(distinct {
            'name': package.package_name, 'version': package.installed_version, 'file_path': package.package_file_path,
            'fixed_in_version': nullif(package.fixed_in_version, 'NotAvailable'), 'remediation': package.fix_command
        }))[:3] as packages
    from likeliest
    join package using (resource_id, vulnerability_id)
    group by all
),
vulnerability as (
    select resource_id, list(to_json({
        'vulnerability_id': vulnerability_id, 'packages': packages, 'cvss_base_score': scored.score, 'cvss_vector': scored.vector,
        'epss': epss, 'exploit_available': exploit_available
    })::varchar order by rank) as vulnerabilities
    from told
    group by resource_id
)
select
    wanted.finding_id,
    exposure.*,
    coalesce(trait_detail.trait_details, []) as trait_details,
    case when fix.resource_id is not null then {
        'kind': fix.removed_kind, 'removed': fix.removed, 'description': fix.description,
        'severity_after': fix.severity_after, 'score_after': fix.score_after
    } end as fix,
    coalesce(vulnerability.vulnerabilities, []) as vulnerabilities,
    {
        'cluster_arn': resource.cluster_arn, 'task_definition_arn': resource.task_definition_arn,
        'desired_count': resource.desired_count, 'is_execute_command_enabled': resource.is_execute_command_enabled,
        'assign_public_ip': resource.assign_public_ip, 'subnet_ids': resource.subnet_ids,
        'security_group_ids': resource.security_group_ids, 'load_balancers': resource.load_balancers
    } as service,
    coalesce(resource.task_definitions, []) as task_definitions,
    coalesce(resource.task_role_arns, []) as task_role_arns,
    coalesce(image.images, []) as images,
    coalesce(resource.security_groups, []) as security_groups
from wanted
join today.exposure as exposure on exposure.resource_id = wanted.resource_id
left join trait_detail on trait_detail.resource_id = wanted.resource_id
left join today.fix as fix on fix.resource_id = wanted.resource_id and fix.rank = 1
left join vulnerability on vulnerability.resource_id = wanted.resource_id
left join today.service_resource as resource on resource.resource_id = wanted.resource_id
left join image on image.resource_id = wanted.resource_id
