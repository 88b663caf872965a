-- One row per service with a hit or an unknown: its exposure as it is.
-- Of a service not completely seen today nothing is called lower: where its severity comes out below what it was (by today's
-- rules: rebased), it keeps what it was and says so.
with hit as (
    select
        resource_id,
        coalesce(list_sort(list(trait) filter (where state = 'hit')), []) as traits,
        coalesce(list_sort(list(trait) filter (where state = 'hit' and catalogue.is_ours)), []) as own_traits,
        coalesce(list_sort(list(trait) filter (where state = 'unknown')), []) as unknown_traits,
        bool_or(is_carried) as is_carried,
        min(observed_date) as observed_date
    from traits.all
    join traits.catalogue as catalogue using (trait)
    group by resource_id
),
revision as (
    select resource_id, list_sort(list(distinct task_definition_arn)) as task_definition_arns
    from resources.task_definition_in_force
    group by resource_id
),
computed as (
    select
        scenario.resource_id, scenario.account_id, scenario.region,
        scenario.severity, scenario.score,
        driver.likelihood, coalesce(driver.impact, impact.impact) as impact, driver.driver, driver.rule as driver_rule, driver.kind,
        case
            when driver.impact = 'Low' and impact.impact in ('High', 'Medium')
                then 'the vulnerability that decides costs availability alone (of others it would be ' || impact.impact || ': ' || impact.impact_reason || ')'
            else impact.impact_reason
        end as impact_reason,
        impact.impact as service_impact,
        images.exploit_probability, images.highest_probability,
        reachability.reachability, reachability.is_exposed, reachability.is_stale,
        case when image_set.is_any_scanned then images.vulnerability_count end as vulnerability_count,
        case when image_set.is_any_scanned then images.high_priority_vulnerability_count end as high_priority_vulnerability_count,
        coalesce(images.lacks_epss, false) as lacks_epss, coalesce(images.lacks_vector, false) as lacks_vector,
        coalesce(sight.is_blind and before_level.level > level.level, false) as is_held
    from exposures.scenario as scenario
    join reference.severity as level on level.severity = scenario.severity
    join exposures.service_situation as situation on situation.resource_id = scenario.resource_id
    join exposures.reachability as reachability on reachability.situation_id = situation.situation_id and reachability.without = ''
    join exposures.service_impact as impact on impact.resource_id = scenario.resource_id
    join exposures.service_sight as sight on sight.resource_id = scenario.resource_id
    left join exposures.driver as driver on driver.resource_id = scenario.resource_id and driver.rank = 1
    left join exposures.service_image_set as image_set on image_set.resource_id = scenario.resource_id
    left join exposures.image_set_scenario as images
        on images.image_set_id = image_set.image_set_id and images.removed_kind = 'as_is'
    left join rebased.exposure as before on before.resource_id = scenario.resource_id
    left join reference.severity as before_level on before_level.severity = before.severity
    where scenario.removed_kind = 'as_is'
),
told as (
    select
        computed.*,
        case when is_held then before.severity else computed.severity end as told_severity,
        case when is_held then before.likelihood else computed.likelihood end as told_likelihood,
        case when is_held then before.impact else computed.impact end as told_impact,
        case when is_held then before.driver else computed.driver end as told_driver,
        case when is_held then before.driver_rule else computed.driver_rule end as told_driver_rule,
        case when is_held then before.impact_reason else computed.impact_reason end as told_impact_reason,
        case when is_held then before.score else computed.score end as told_score,
        case when is_held then before.exploit_probability else computed.exploit_probability end as told_exploit_probability,
        case when is_held then before.highest_probability else computed.highest_probability end as told_highest_probability,
        case when is_held then before.reachability else computed.reachability end as told_reachability,
        case when is_held then before.is_exposed else computed.is_exposed end as told_is_exposed,
        before.observed_date as held_date
    from computed
    left join rebased.exposure as before on before.resource_id = computed.resource_id and computed.is_held
),
complete as (
    select
        told.*,
        hit.traits, hit.own_traits, hit.unknown_traits,
        service.is_dormant, service.is_carried or hit.is_carried or told.is_held as is_carried,
        least(service.observed_date, hit.observed_date, told.held_date) as observed_date,
        service.cluster_name, service.service_name, service.launch_type, service.account_name, service.ou_path, service.owner, service.tags,
        coalesce(revision.task_definition_arns, []) as task_definition_arns,
        list_filter([
            case when told.is_held then 'not completely seen today: kept as it was on ' || told.held_date end,
            case when len(hit.unknown_traits) > 0 then 'could not be decided: ' || array_to_string(hit.unknown_traits, ', ') end,
            case when list_contains(hit.traits, 'image_not_scanned') then 'the vulnerabilities of an image are not known' end,
            case when told.told_reachability = 'UNKNOWN' then 'reachability could not be decided' end,
            case when told.is_stale and told.told_reachability <> 'UNKNOWN' then 'reachability is that of an earlier day' end,
            case when told.service_impact = 'Unknown' then told.impact_reason end,
            case when told.lacks_vector then 'vulnerabilities without a CVSS vector' end,
            case when told.lacks_epss then 'vulnerabilities without an EPSS' end
        ], lambda reason: reason is not null) as reasons,
        day.snapshot_date
    from told
    join hit on hit.resource_id = told.resource_id
    join resources.service as service on service.resource_id = told.resource_id
    left join revision on revision.resource_id = told.resource_id
    cross join run.day as day
)
select
    complete.account_id, complete.region, complete.resource_id,
    complete.told_severity as severity,
    complete.told_likelihood as likelihood,
    complete.told_impact as impact,
    complete.told_driver as driver,
    complete.told_driver_rule as driver_rule,
    complete.told_impact_reason as impact_reason,
    complete.told_score as score,
    complete.told_exploit_probability as exploit_probability,
    complete.told_highest_probability as highest_probability,
    complete.told_reachability as reachability,
    complete.told_is_exposed as is_exposed,
    len(complete.reasons) > 0 as is_minimum,
    nullif(array_to_string(complete.reasons, '; '), '') as minimum_reason,
    complete.traits, complete.own_traits, complete.unknown_traits,
    complete.vulnerability_count, complete.high_priority_vulnerability_count,
    complete.is_dormant, complete.is_carried,
    coalesce(complete.observed_date, complete.snapshot_date) as observed_date,
    least(ever.first_observed_date, complete.snapshot_date) as first_observed_date,
    -- Never later than what was promised while the exposure stays open.
    case when complete.told_severity <> 'INFORMATIONAL' then least(
        case when yesterday.severity <> 'INFORMATIONAL' then yesterday.due_date end,
        complete.snapshot_date + coalesce(
            case when complete.kind = 'vulnerability' then likelihood.bod_days end, sla.days
        )::integer
    ) end as due_date,
    severity.severity_traits,
    coalesce(acceptance.accepted_traits, []) as accepted_traits,
    -- Who accepts a risk changes nothing but this: neither severity nor score nor what is told.
    case when complete.told_severity <> 'INFORMATIONAL' then acceptance.accepted_until end as accepted_until,
    case when complete.told_severity <> 'INFORMATIONAL' then acceptance.accepted_by end as accepted_by,
    case when complete.told_severity <> 'INFORMATIONAL' then acceptance.accepted_reason end as accepted_reason,
    left(
        'ECS service ' || left(complete.service_name, 80) || ' in cluster ' || left(complete.cluster_name, 60)
        || case complete.told_reachability
            when 'DIRECT' then ', directly reachable from the internet,'
            when 'VIA_LOAD_BALANCER' then ', reachable from the internet through a load balancer,'
            when 'UNKNOWN' then ', its reachability not known,'
            else ''
        end
        || case
            when complete.told_driver is null then ' has traits that drive no severity'
            when catalogue.trait is not null then ' has ' || coalesce(rule.rule, catalogue.trait)
            else ' runs an image with ' || left(complete.told_driver, 40)
        end
        || case complete.told_impact
            when 'High' then ' at high impact' when 'Medium' then ' at medium impact' when 'Unknown' then ' at unknown impact' else ''
        end,
        256
    ) as title,
    complete.cluster_name, complete.service_name, complete.launch_type, complete.task_definition_arns,
    complete.account_name, complete.ou_path, complete.owner, complete.tags
from complete
join exposures.severity_traits as severity on severity.resource_id = complete.resource_id
left join exposures.acceptance as acceptance on acceptance.resource_id = complete.resource_id
left join previous.lifecycle as ever on ever.resource_id = complete.resource_id
left join previous.exposure as yesterday on yesterday.resource_id = complete.resource_id
left join reference.likelihood as likelihood on likelihood.likelihood = complete.told_likelihood
left join reference.sla as sla on sla.severity = complete.told_severity
left join traits.catalogue as catalogue on catalogue.trait = complete.told_driver
left join reference.configuration_likelihood as rule on rule.trait = complete.told_driver and rule.condition is null
