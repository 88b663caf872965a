-- One row per exposure of severity LOW or above: everything its finding in Security Hub says, before it is put in AWS's format.
-- The reader is ecs_exposure/securityhub/asff.py. INFORMATIONAL stays in the lake: AWS does not publish it either.
with trait_detail as (
    select
        resource_id,
        list_sort(list({'state': state, 'trait': trait, 'category': category, 'evidence': evidence, 'is_carried': is_carried}))
            as trait_details
    from traits.all
    group by resource_id
),
best_fix as (
    select resource_id, removed_kind, removed, description, severity_before, severity_after, score_after
    from exposures.fix
    where rank = 1
),
-- Which of several equally good fixes ranks first depends on tonight's probabilities; all that reach the same severity do not.
lowering_fix as (
    select fix.resource_id, list_sort(list(fix.removed_kind || ' ' || fix.removed || ' ' || fix.severity_after)) as lowering_fixes
    from exposures.fix as fix
    join best_fix on best_fix.resource_id = fix.resource_id and best_fix.severity_after = fix.severity_after
    where fix.severity_after <> fix.severity_before
    group by fix.resource_id
),
vulnerabilities as (
    select
        image_set_id,
        list_transform(
            list_sort(list({'rank': rank, 'told': to_json({
                'vulnerability_id': vulnerability_id, 'packages': packages, 'cvss_base_score': scored.score, 'cvss_vector': scored.vector,
                'epss': epss, 'exploit_available': exploit_available
            })::varchar}) filter (where rank <= 10)),
            lambda item: item.told
        ) as vulnerabilities,
        list_sort(list(vulnerability_id) filter (where durable_rank <= 10)) as durable_vulnerability_ids
    from findings.vulnerability
    group by image_set_id
)
select
    exposure.*,
    coalesce(trait_detail.trait_details, []) as trait_details,
    case when best_fix.resource_id is not null then {
        'kind': best_fix.removed_kind, 'removed': best_fix.removed, 'description': best_fix.description,
        'severity_after': best_fix.severity_after, 'score_after': best_fix.score_after
    } end as fix,
    coalesce(lowering_fix.lowering_fixes, []) as lowering_fixes,
    coalesce(vulnerabilities.vulnerabilities, []) as vulnerabilities,
    coalesce(vulnerabilities.durable_vulnerability_ids, []) as durable_vulnerability_ids,
    resource.service, resource.task_definitions, resource.task_role_arns, resource.images, resource.security_groups
from exposures.exposure as exposure
join findings.resource as resource using (resource_id)
left join trait_detail using (resource_id)
left join best_fix using (resource_id)
left join lowering_fix using (resource_id)
left join exposures.service_image_set as image_set using (resource_id)
left join vulnerabilities on vulnerabilities.image_set_id = image_set.image_set_id
where exposure.severity <> 'INFORMATIONAL'
