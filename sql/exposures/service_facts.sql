-- One row per service with a trait that hits or is unknown: all that its severity rests on but its images, without names. Services
-- that are alike in it share one situation.
with hit as (
    select resource_id, coalesce(list_sort(list(trait) filter (where state = 'hit')), []) as traits
    from traits.all
    group by resource_id
),
unscanned as (
    select resource_id, list(distinct container_name) as container_names
    from resources.service_image
    where scan_status <> 'scanned'
    group by resource_id
),
looking_exposed as (
    select resource_id, left(md5(to_json(hops)::varchar), 16) as path_id, bool_or(looks_exposed) as looks_exposed
    from resources.internet_path
    group by all
),
path as (
    select
        path.resource_id,
        list_sort(list(distinct {
            'kind': path.kind, 'needs_traits': path.needs_traits,
            'is_open': len(coalesce(path.unseen, [])) = 0,
            'looks_exposed': coalesce(today.looks_exposed, false),
            'reaches_sensitive_port': len(path.sensitive_ports) > 0,
            'reaches_unscanned_image': unscanned.resource_id is not null
                and (len(path.container_names) = 0 or list_has_any(path.container_names, unscanned.container_names))
        })) as paths
    from exposures.path as path
    left join looking_exposed as today on today.resource_id = path.resource_id and today.path_id = path.path_id
    left join unscanned on unscanned.resource_id = path.resource_id
    group by path.resource_id
),
reason as (
    select resource_id, list_sort(list(distinct {'impact': impact, 'needs_traits': needs_traits})) as reasons
    from exposures.impact_reason
    group by resource_id
),
condition as (
    select resource_id, list_sort(list(distinct {'trait': trait, 'condition': condition})) as conditions
    from (
        select definition.resource_id, 'cleartext_credentials' as trait, 'provider_pattern' as condition
        from snapshot.credential as credential
        join resources.task_definition_in_force as definition on definition.task_definition_arn = credential.task_definition_arn
        where credential.is_provider_pattern
        union all
        select resource_id, 'dangerous_linux_capability', 'host_escape'
        from resources.dangerous_capability
        where is_host_escape
        union all
        select resource_id, trait, 'grants_administration'
        from resources.service_path
        where grants_administration
    )
    group by resource_id
),
other_mount as (
    select distinct resource_id from resources.host_mount where place <> 'runtime_socket'
),
internet_facing as (
    select distinct resource_id from resources.service_load_balancer where scheme = 'internet-facing'
)
select
    hit.resource_id,
    {
        'traits': hit.traits,
        'has_other_mount': other_mount.resource_id is not null,
        'paths': coalesce(path.paths, []),
        'reasons': coalesce(reason.reasons, []),
        'conditions': coalesce(condition.conditions, []),
        'has_unscanned_image': unscanned.resource_id is not null,
        'has_internet_facing_balancer': internet_facing.resource_id is not null,
        'is_network_seen': sight.is_network_seen,
        'is_decided': sight.is_decided,
        'was_not_reachable': coalesce(before.reachability = 'NOT_REACHABLE', false),
        'is_dormant': service.is_dormant
    } as facts
from hit
join resources.service as service on service.resource_id = hit.resource_id
join exposures.service_sight as sight on sight.resource_id = hit.resource_id
left join other_mount on other_mount.resource_id = hit.resource_id
left join path on path.resource_id = hit.resource_id
left join reason on reason.resource_id = hit.resource_id
left join condition on condition.resource_id = hit.resource_id
left join unscanned on unscanned.resource_id = hit.resource_id
left join internet_facing on internet_facing.resource_id = hit.resource_id
left join previous.exposure as before on before.resource_id = hit.resource_id
