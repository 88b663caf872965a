-- One row per way the internet reaches a service, or may (`unseen` says what on it was not seen): the shortest for each kind, container port
-- and set of traits it needs. A service whose reachability could not be decided today keeps the open paths it last had.
with path as (
    select
        resource_id, account_id, region, left(md5(to_json(hops)::varchar), 16) as path_id, kind,
        to_json(hops)::varchar as hops, list_sort(any_value(needs_traits)) as needs_traits,
        case when container_name is null then [] else [container_name] end as container_names,
        list_sort(coalesce(list(distinct sensitive_port) filter (where sensitive_port is not null), [])) as sensitive_ports,
        unseen
    from resources.internet_path
    group by resource_id, account_id, region, kind, hops, container_name, unseen
)
select * from path
union all
select
    before.resource_id, before.account_id, before.region, before.path_id, before.kind, before.hops, before.needs_traits,
    before.container_names, before.sensitive_ports, []
from previous.path as before
join exposures.service_sight as sight on sight.resource_id = before.resource_id and not sight.is_decided
where len(coalesce(before.unseen, [])) = 0
    and not exists (select 1 from path where path.resource_id = before.resource_id and path.path_id = before.path_id)
