-- One row per service: what of it was not seen.
--   is_blind    something that counts was not seen today and stands as it was last seen: nothing may be called lower
--   is_decided  all that reachability needs was seen at some time
select
    service.resource_id,
    coalesce(bool_or(coverage.status <> 'ok' and coverage.observed_date is not null), false) as is_blind,
    not coalesce(bool_or(coverage.observed_date is null and coverage.dataset in (
        'task_definition', 'network_interface', 'security_group_rule', 'subnet', 'route', 'container_instance', 'instance',
        'load_balancer', 'listener', 'target_group')), false)
        -- The network of hosts outside AWS and of classic load balancers is not collected.
        and any_value(service.launch_type) is distinct from 'EXTERNAL'
        and not coalesce(any_value(len(list_filter(service.load_balancers, lambda item: item.load_balancer_name is not null
            and item.target_group_arn is null))) > 0, false) as is_decided,
    list_sort(list(distinct coverage.dataset) filter (where coverage.status <> 'ok')) as unseen_datasets
from resources.service as service
left join resources.service_coverage as coverage on coverage.resource_id = service.resource_id
group by service.resource_id
