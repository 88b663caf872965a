-- One row per service × thing that could drive its severity, as it is: every configuration, and the ten worst vulnerabilities.
-- Rank 1 decided the severity: worst severity, then likelihood, then impact (which p must not turn from night to night), then
-- vulnerabilities by p (the newer id of equals) before configurations by name.
with set_driver as (
    -- Both ways where its images differ in what it costs: which is worse, the impact decides.
    select
        member.image_set_id, driver.is_exposed, driver.vulnerability_id, not driver.is_availability_only as is_loss,
        max({
            'level': driver.level, 'likelihood': driver.likelihood, 'rule': driver.rule, 'inputs': driver.inputs,
            'probability': coalesce(driver.probability, -1)
        }) as worst
    from (select distinct image_set_id, unnest(image_ids) as image_id from exposures.service_image_set) as member
    join exposures.image_driver as driver on driver.image_id = member.image_id
    group by member.image_set_id, driver.is_exposed, driver.vulnerability_id, driver.is_availability_only
),
situation as (
    select
        reachability.resource_id, scenario.account_id, scenario.region, reachability.is_exposed, impact.impact,
        service.is_dormant, images.image_set_id
    from exposures.reachability as reachability
    join exposures.trait_scenario as scenario
        on scenario.resource_id = reachability.resource_id and scenario.without = reachability.without
    join exposures.impact as impact on impact.resource_id = reachability.resource_id and impact.without = reachability.without
    join resources.service as service on service.resource_id = reachability.resource_id
    left join exposures.service_image_set as images on images.resource_id = reachability.resource_id
    where reachability.without = ''
),
-- Ranked once per image set and situation, not per service.
set_worst as (
    select
        kind.image_set_id, kind.is_exposed, kind.impact, kind.is_dormant,
        driver.vulnerability_id, driver.is_loss, driver.worst, pair.impact as paired_impact, pair.severity, pair.severity_level
    from (select distinct image_set_id, is_exposed, impact, is_dormant from situation where image_set_id is not null) as kind
    join set_driver as driver on driver.image_set_id = kind.image_set_id and driver.is_exposed = kind.is_exposed
    join exposures.severity_pair as pair
        on pair.likelihood_level = driver.worst.level
        and pair.impact = case when driver.is_loss then kind.impact else 'Low' end
        and pair.severity_cap = '' and pair.is_dormant = kind.is_dormant
    qualify row_number() over (
        partition by kind.image_set_id, kind.is_exposed, kind.impact, kind.is_dormant, driver.vulnerability_id
        order by pair.severity_level desc, driver.worst.level desc, driver.is_loss desc
    ) = 1
),
set_ranked as (
    select *
    from set_worst
    qualify row_number() over (
        partition by image_set_id, is_exposed, impact, is_dormant
        order by severity_level desc, worst.level desc, is_loss desc, worst.probability desc, vulnerability_id desc
    ) <= 10
),
candidate as (
    select
        situation.resource_id, situation.account_id, situation.region,
        driver.vulnerability_id as driver, 'vulnerability' as kind,
        driver.worst.likelihood as likelihood, driver.worst.level as likelihood_level,
        driver.paired_impact as impact, driver.severity, driver.severity_level,
        driver.worst.rule as rule, driver.worst.inputs as inputs, driver.worst.probability as probability
    from situation
    join set_ranked as driver
        on driver.image_set_id = situation.image_set_id and driver.is_exposed = situation.is_exposed
        and driver.impact = situation.impact and driver.is_dormant = situation.is_dormant
    union all
    select
        situation.resource_id, situation.account_id, situation.region,
        configuration.driver, 'configuration', configuration.likelihood, configuration.level,
        situation.impact, pair.severity, pair.severity_level,
        'reference/configuration_likelihood: ' || configuration.rule,
        to_json({
            'trait': configuration.driver, 'condition': configuration.condition, 'is_exposed': configuration.is_exposed,
            'severity_cap': configuration.severity_cap
        })::varchar,
        -2
    from situation
    join exposures.configuration_driver as configuration
        on configuration.resource_id = situation.resource_id and configuration.without = ''
    join exposures.severity_pair as pair
        on pair.likelihood = configuration.likelihood and pair.impact = situation.impact
        and pair.severity_cap = configuration.severity_cap and pair.is_dormant = situation.is_dormant
)
select
    resource_id, account_id, region, driver, kind, likelihood, impact, severity, rule, inputs,
    row_number() over (
        partition by resource_id
        order by severity_level desc, likelihood_level desc, list_position(['Low', 'Unknown', 'Medium', 'High'], impact) desc,
            probability desc, case kind when 'vulnerability' then driver end desc, driver
    ) as rank
from candidate
