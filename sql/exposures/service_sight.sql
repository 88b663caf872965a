-- One row per service: what of it was not seen.
--   is_blind         something that counts was not seen today and stands as it was last seen: nothing may be called lower
--   is_network_seen  the datasets that every path is made of were seen at some time
--   is_decided       that, and not every path found has a hop that nobody saw
with found as (
    select resource_id, bool_and(len(unseen) > 0) as is_only_possible
    from resources.internet_path
    group by resource_id
),
sight as (
    select
        service.resource_id,
        coalesce(bool_or(coverage.status <> 'ok' and coverage.observed_date is not null), false) as is_blind,
        not coalesce(bool_or(coverage.observed_date is null and coverage.status <> 'ok' and coverage.dataset in (
            'task', 'task_definition', 'network_interface', 'security_group_rule', 'subnet', 'route', 'container_instance', 'instance',
            'load_balancer', 'classic_load_balancer', 'listener', 'target_group')), false)
            -- The network of hosts outside AWS is not collected.
            and any_value(service.launch_type) is distinct from 'EXTERNAL' as is_network_seen,
        list_sort(list(coverage.dataset) filter (where coverage.status <> 'ok')) as unseen_datasets
    from resources.service as service
    left join resources.service_coverage as coverage on coverage.resource_id = service.resource_id
    group by service.resource_id
)
select
    sight.resource_id, sight.is_blind, sight.is_network_seen,
    sight.is_network_seen and not coalesce(found.is_only_possible, false) as is_decided,
    sight.unseen_datasets
from sight
left join found on found.resource_id = sight.resource_id
