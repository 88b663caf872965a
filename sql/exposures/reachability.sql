-- One row per trait scenario: how the internet reaches the service by the paths that survive. A path survives when none
-- of the traits it needs is taken away (every path needs internet_reachable). Where paths or the network were not seen, the last decided
-- value stands; never decided, the service counts as exposed when what could be seen says so (a public address, an
-- internet-facing load balancer): then what such a path would reach counts too.
with path as (
    select path.*, today.looks_exposed, len(coalesce(path.unseen, [])) = 0 as is_open
    from exposures.path as path
    left join (
        select resource_id, left(md5(to_json(hops)::varchar), 16) as path_id, bool_or(looks_exposed) as looks_exposed
        from resources.internet_path
        group by all
    ) as today on today.resource_id = path.resource_id and today.path_id = path.path_id
),
surviving as (
    select
        scenario.resource_id, scenario.without,
        bool_or(path.is_open) as is_reached,
        bool_or(path.is_open and path.kind = 'DIRECT') as is_direct,
        bool_or(not path.is_open) as may_be_reached,
        bool_or(not path.is_open and path.looks_exposed) as looks_exposed,
        list(path) filter (where path.is_open or path.looks_exposed) as paths
    from exposures.trait_scenario as scenario
    join path
        on path.resource_id = scenario.resource_id and not list_has_any(path.needs_traits, scenario.removed_traits)
        and not list_contains(scenario.removed_traits, 'internet_reachable')
    group by scenario.resource_id, scenario.without
),
presumed as (
    select resource_id, ['public_ip'] as needs_traits from traits.all where trait = 'public_ip' and state = 'hit'
    union
    select resource_id, []::varchar[] from resources.service_load_balancer where scheme = 'internet-facing'
),
decided as (
    select
        scenario.resource_id, scenario.without,
        case
            when surviving.is_direct then 'DIRECT'
            when surviving.is_reached then 'VIA_LOAD_BALANCER'
            when sight.is_network_seen and not coalesce(surviving.may_be_reached, false) then 'NOT_REACHABLE'
            -- Exposed values come back as carried paths; only "not reachable" has none to carry. It stands against a gap in what
            -- was seen, not against an address or load balancer that was seen today.
            when before.reachability = 'NOT_REACHABLE' and not coalesce(surviving.looks_exposed, false) then 'NOT_REACHABLE'
            else 'UNKNOWN'
        end as reachability,
        not sight.is_network_seen or (not sight.is_decided and coalesce(surviving.may_be_reached, false)) as is_stale,
        coalesce(surviving.looks_exposed, false) or (not sight.is_network_seen and exists (
            select 1 from presumed
            where presumed.resource_id = scenario.resource_id and not list_has_any(presumed.needs_traits, scenario.removed_traits)
        )) as looks_exposed,
        list_filter(coalesce(surviving.paths, []), lambda path: path.is_open or not surviving.is_reached) as paths
    from exposures.trait_scenario as scenario
    join exposures.service_sight as sight on sight.resource_id = scenario.resource_id
    left join surviving on surviving.resource_id = scenario.resource_id and surviving.without = scenario.without
    left join previous.exposure as before on before.resource_id = scenario.resource_id
)
select
    resource_id, without, reachability, is_stale,
    case reachability when 'NOT_REACHABLE' then false when 'UNKNOWN' then looks_exposed else true end as is_exposed,
    list_sort(list_distinct(flatten(list_transform(paths, lambda path: path.sensitive_ports)))) as sensitive_ports,
    list_sort(list_distinct(flatten(list_transform(paths, lambda path: path.container_names)))) as container_names,
    len(list_filter(paths, lambda path: len(path.container_names) = 0)) > 0 or reachability = 'UNKNOWN' as reaches_any_container
from decided
