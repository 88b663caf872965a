-- One row per trait scenario × trait that drives by itself, with the worst likelihood whose condition holds.
with evidence as (
    select
        definition.resource_id, 'cleartext_credentials' as trait, 'provider_pattern' as condition
    from snapshot.credential as credential
    join resources.task_definition_in_force as definition on definition.task_definition_arn = credential.task_definition_arn
    where credential.is_provider_pattern
    group by all
    union all
    select distinct resource_id, 'dangerous_linux_capability', 'host_escape'
    from resources.dangerous_capability
    where is_host_escape
),
unscanned as (
    -- An image of the trait image_not_scanned: the container the internet reaches is looked up per scenario.
    select distinct resource_id, container_name
    from resources.service_image
    where scan_status <> 'scanned'
),
condition as (
    select scenario.resource_id, scenario.without, trait, condition
    from exposures.trait_scenario as scenario
    join evidence using (resource_id)
    union all
    select resource_id, without, 'open_security_group', 'sensitive_port'
    from exposures.reachability
    where len(sensitive_ports) > 0
    union all
    select distinct scenario.resource_id, scenario.without, path.trait, 'grants_administration'
    from exposures.trait_scenario as scenario
    join resources.service_path as path on path.resource_id = scenario.resource_id and path.grants_administration
    union all
    select distinct reachability.resource_id, reachability.without, 'image_not_scanned', 'exposed_image'
    from exposures.reachability as reachability
    join unscanned on unscanned.resource_id = reachability.resource_id
    where reachability.is_exposed
        and (reachability.reaches_any_container or list_contains(reachability.container_names, unscanned.container_name))
),
candidate as (
    select
        scenario.resource_id, scenario.without, hit.trait as driver,
        case when reachability.is_exposed then rule.likelihood_exposed else rule.likelihood_not_exposed end as likelihood,
        coalesce(rule.severity_cap, '') as severity_cap,
        coalesce(rule.condition, '') as condition,
        rule.rule,
        reachability.is_exposed
    from exposures.trait_scenario as scenario
    join traits.all as hit on hit.resource_id = scenario.resource_id and hit.state = 'hit'
    join reference.configuration_likelihood as rule on rule.trait = hit.trait
    join exposures.reachability as reachability
        on reachability.resource_id = scenario.resource_id and reachability.without = scenario.without
    where not list_contains(scenario.removed_traits, hit.trait)
        and (rule.condition is null or exists (
            select 1 from condition
            where condition.resource_id = scenario.resource_id and condition.without = scenario.without
                and condition.trait = rule.trait and condition.condition = rule.condition
        ))
)
select candidate.*, likelihood.level
from candidate
join reference.likelihood as likelihood using (likelihood)
qualify row_number() over (
    partition by candidate.resource_id, candidate.without, candidate.driver order by likelihood.level desc, candidate.condition desc
) = 1
