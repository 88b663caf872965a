-- One row per trait scenario: how the internet reaches the service by the paths that survive. A path survives when none
-- of the traits it needs is taken away (every path needs internet_reachable). Where paths or the network were not seen, the last decided
-- value stands; never decided, the service counts as exposed when what could be seen says so (a public address, an
-- internet-facing load balancer): then what such a path would reach counts too.
with surviving as (
    select
        scenario.situation_id, scenario.without,
        bool_or(path.is_open) as is_reached,
        bool_or(path.is_open and path.kind = 'DIRECT') as is_direct,
        bool_or(not path.is_open) as may_be_reached,
        bool_or(not path.is_open and path.looks_exposed) as looks_exposed,
        bool_or(path.is_open and path.reaches_sensitive_port) as reaches_sensitive_port,
        bool_or(path.is_open and path.reaches_unscanned_image) as reaches_unscanned_image,
        bool_or(path.looks_exposed and path.reaches_sensitive_port) as may_reach_sensitive_port,
        bool_or(path.looks_exposed and path.reaches_unscanned_image) as may_reach_unscanned_image
    from exposures.trait_scenario as scenario
    join (select situation_id, unnest(paths) as path from exposures.situation) as situation
        on situation.situation_id = scenario.situation_id
        and not list_has_any(situation.path.needs_traits, scenario.removed_traits)
        and not list_contains(scenario.removed_traits, 'internet_reachable')
    group by scenario.situation_id, scenario.without
),
decided as (
    select
        scenario.situation_id, scenario.without,
        case
            when surviving.is_direct then 'DIRECT'
            when surviving.is_reached then 'VIA_LOAD_BALANCER'
            when situation.is_network_seen and not coalesce(surviving.may_be_reached, false) then 'NOT_REACHABLE'
            -- Exposed values come back as carried paths; only "not reachable" has none to carry. It stands against a gap in what
            -- was seen, not against an address or load balancer that was seen today.
            when situation.was_not_reachable and not coalesce(surviving.looks_exposed, false) then 'NOT_REACHABLE'
            else 'UNKNOWN'
        end as reachability,
        not situation.is_network_seen or (not situation.is_decided and coalesce(surviving.may_be_reached, false)) as is_stale,
        coalesce(surviving.looks_exposed, false) or (not situation.is_network_seen and (
            situation.has_internet_facing_balancer
            or (list_contains(situation.traits, 'public_ip') and not list_contains(scenario.removed_traits, 'public_ip'))
        )) as looks_exposed,
        -- Once one path is open, those that only may be do not count.
        case when surviving.is_reached then surviving.reaches_sensitive_port else surviving.may_reach_sensitive_port end
            as reaches_sensitive_port,
        case when surviving.is_reached then surviving.reaches_unscanned_image else surviving.may_reach_unscanned_image end
            as reaches_unscanned_image,
        situation.has_unscanned_image
    from exposures.trait_scenario as scenario
    join exposures.situation as situation on situation.situation_id = scenario.situation_id
    left join surviving on surviving.situation_id = scenario.situation_id and surviving.without = scenario.without
)
select
    situation_id, without, reachability, is_stale,
    case reachability when 'NOT_REACHABLE' then false when 'UNKNOWN' then looks_exposed else true end as is_exposed,
    coalesce(reaches_sensitive_port, false) as reaches_sensitive_port,
    coalesce(reaches_unscanned_image, false) or (reachability = 'UNKNOWN' and has_unscanned_image) as reaches_unscanned_image
from decided
