-- One row per trait scenario: how the internet reaches the service by the paths that survive. A path survives when none
-- of the traits it needs is taken away. Where the network was never seen, the last decided value stands; never decided, the
-- service counts as exposed when what could be seen says so (a public address, an internet-facing load balancer).
with surviving as (
    select
        scenario.resource_id, scenario.without,
        bool_or(path.kind = 'DIRECT') as is_direct,
        list_sort(list_distinct(flatten(list(path.sensitive_ports)))) as sensitive_ports,
        list_sort(list_distinct(flatten(list(path.container_names)))) as container_names,
        bool_or(len(path.container_names) = 0) as reaches_any_container
    from exposures.trait_scenario as scenario
    join exposures.path as path
        on path.resource_id = scenario.resource_id and not list_has_any(path.needs_traits, scenario.removed_traits)
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
            when surviving.resource_id is not null then 'VIA_LOAD_BALANCER'
            when sight.is_decided then 'NOT_REACHABLE'
            -- Exposed values come back as carried paths; only "not reachable" has none to carry.
            when before.reachability = 'NOT_REACHABLE' then 'NOT_REACHABLE'
            else 'UNKNOWN'
        end as reachability,
        not sight.is_decided as is_stale,
        exists (
            select 1 from presumed
            where presumed.resource_id = scenario.resource_id and not list_has_any(presumed.needs_traits, scenario.removed_traits)
        ) as looks_exposed,
        coalesce(surviving.sensitive_ports, []) as sensitive_ports,
        coalesce(surviving.container_names, []) as container_names,
        coalesce(surviving.reaches_any_container, false) as reaches_any_container
    from exposures.trait_scenario as scenario
    join exposures.service_sight as sight on sight.resource_id = scenario.resource_id
    left join surviving on surviving.resource_id = scenario.resource_id and surviving.without = scenario.without
    left join previous.exposure as before on before.resource_id = scenario.resource_id
)
select
    resource_id, without, reachability, is_stale,
    case reachability when 'NOT_REACHABLE' then false when 'UNKNOWN' then looks_exposed else true end as is_exposed,
    sensitive_ports, container_names,
    reaches_any_container or reachability = 'UNKNOWN' as reaches_any_container
from decided
