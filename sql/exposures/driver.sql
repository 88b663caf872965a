-- One row per service × thing that could drive its severity, as it is: every configuration, and the ten worst vulnerabilities.
-- Rank 1 decided the severity: worst severity, then likelihood, then impact (which p must not turn from night to night), then
-- vulnerabilities by p (the newer id of equals) before configurations by name.
with set_driver as (
    select
        member.image_set_id, driver.is_exposed, driver.vulnerability_id,
        max({
            'is_loss': not driver.is_availability_only, 'level': driver.level, 'likelihood': driver.likelihood, 'rule': driver.rule,
            'inputs': driver.inputs, 'probability': coalesce(driver.probability, -1)
        }) as worst
    from (select distinct image_set_id, unnest(image_ids) as image_id from exposures.service_image_set) as member
    join exposures.image_driver as driver on driver.image_id = member.image_id
    group by member.image_set_id, driver.is_exposed, driver.vulnerability_id
),
service as (
    select
        service.resource_id, service.account_id, service.region, situation.situation_id, images.image_set_id,
        reachability.is_exposed, impact.impact, service.is_dormant
    from exposures.service_situation as situation
    join resources.service as service on service.resource_id = situation.resource_id
    join exposures.reachability as reachability on reachability.situation_id = situation.situation_id and reachability.without = ''
    join exposures.impact as impact on impact.situation_id = situation.situation_id and impact.without = ''
    left join exposures.service_image_set as images on images.resource_id = situation.resource_id
),
-- Ranked once per image set and kind of service, not per service.
set_ranked as (
    select
        kind.image_set_id, kind.is_exposed, kind.impact, kind.is_dormant,
        driver.vulnerability_id, driver.worst, pair.impact as paired_impact, pair.severity, pair.severity_level
    from (select distinct image_set_id, is_exposed, impact, is_dormant from service where image_set_id is not null) as kind
    join set_driver as driver on driver.image_set_id = kind.image_set_id and driver.is_exposed = kind.is_exposed
    join exposures.severity_pair as pair
        on pair.likelihood_level = driver.worst.level
        and pair.impact = case when driver.worst.is_loss then kind.impact else 'Low' end
        and pair.severity_cap = '' and pair.is_dormant = kind.is_dormant
    qualify row_number() over (
        partition by kind.image_set_id, kind.is_exposed, kind.impact, kind.is_dormant
        order by pair.severity_level desc, driver.worst.level desc, driver.worst.is_loss desc, driver.worst.probability desc,
            driver.vulnerability_id desc
    ) <= 10
),
configured as (
    select
        configuration.situation_id, configuration.driver, configuration.likelihood, configuration.level, impact.impact,
        pair.severity, pair.severity_level,
        'reference/configuration_likelihood: ' || configuration.rule as rule,
        to_json({
            'trait': configuration.driver, 'condition': configuration.condition, 'is_exposed': configuration.is_exposed,
            'severity_cap': configuration.severity_cap
        })::varchar as inputs
    from exposures.configuration_driver as configuration
    join exposures.impact as impact on impact.situation_id = configuration.situation_id and impact.without = ''
    join exposures.situation as situation on situation.situation_id = configuration.situation_id
    join exposures.severity_pair as pair
        on pair.likelihood = configuration.likelihood and pair.impact = impact.impact
        and pair.severity_cap = configuration.severity_cap and pair.is_dormant = situation.is_dormant
    where configuration.without = ''
),
candidate as (
    select
        service.resource_id, service.account_id, service.region,
        driver.vulnerability_id as driver, 'vulnerability' as kind,
        driver.worst.likelihood as likelihood, driver.worst.level as likelihood_level,
        driver.paired_impact as impact, driver.severity, driver.severity_level,
        driver.worst.rule as rule, driver.worst.inputs as inputs, driver.worst.probability as probability
    from service
    join set_ranked as driver
        on driver.image_set_id = service.image_set_id and driver.is_exposed = service.is_exposed
        and driver.impact = service.impact and driver.is_dormant = service.is_dormant
    union all
    select
        service.resource_id, service.account_id, service.region,
        configured.driver, 'configuration', configured.likelihood, configured.level,
        configured.impact, configured.severity, configured.severity_level,
        configured.rule, configured.inputs, -2
    from service
    join configured on configured.situation_id = service.situation_id
)
select
    resource_id, account_id, region, driver, kind, likelihood, impact, severity, rule, inputs,
    row_number() over (
        partition by resource_id
        order by severity_level desc, likelihood_level desc, list_position(['Low', 'Unknown', 'Medium', 'High'], impact) desc,
            probability desc, case kind when 'vulnerability' then driver end desc, driver
    ) as rank
from candidate
