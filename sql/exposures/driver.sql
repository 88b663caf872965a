-- One row per service × thing that could drive its severity, as it is: every configuration, and the five worst vulnerabilities.
-- Rank 1 decided the severity: worst severity, then likelihood, then impact (which p must not turn from night to night), then
-- vulnerabilities by p (the newer id of equals) before configurations by name. `turn` holds that order in the digits of one number.
-- Ranked once for services of one situation that run the same images.
with alike as (
    select distinct
        service.situation_id, images.image_set_id, reachability.is_exposed, impact.impact, situation.is_dormant
    from exposures.service_situation as service
    join exposures.situation as situation on situation.situation_id = service.situation_id
    join exposures.reachability as reachability on reachability.situation_id = service.situation_id and reachability.without = ''
    join exposures.impact as impact on impact.situation_id = service.situation_id and impact.without = ''
    left join exposures.service_image_set as images on images.resource_id = service.resource_id
),
member as (
    select image_set_id, unnest(image_ids) as image_id, len(image_ids) as images
    from (select distinct image_set_id, image_ids from exposures.service_image_set)
),
set_driver as (
    -- Within one image a vulnerability is one row already.
    select
        member.image_set_id, driver.is_exposed, driver.vulnerability_number, driver.image_id, driver.report_set,
        not driver.is_availability_only as is_loss,
        driver.level, coalesce(round(driver.probability * 1e6)::bigint, -1) as millionths
    from member
    join exposures.image_driver as driver on driver.image_id = member.image_id
    where member.images = 1
    union all
    -- Both ways where its images differ in what it costs: which is worse, the impact decides.
    select image_set_id, is_exposed, vulnerability_number, worst.image_id, worst.report_set, is_loss, worst.level, worst.millionths
    from (
        select
            member.image_set_id, driver.is_exposed, driver.vulnerability_number, not driver.is_availability_only as is_loss,
            max({
                'level': driver.level, 'millionths': coalesce(round(driver.probability * 1e6)::bigint, -1), 'image_id': driver.image_id,
                'report_set': driver.report_set
            }) as worst
        from member
        join exposures.image_driver as driver on driver.image_id = member.image_id
        where member.images > 1
        group by member.image_set_id, driver.is_exposed, driver.vulnerability_number, driver.is_availability_only
    )
),
set_twice as (
    select
        kind.image_set_id, kind.is_exposed, kind.impact as service_impact, kind.is_dormant,
        max({
            'turn': (((pair.severity_level * 8 + driver.level) * 4 + list_position(['Low', 'Unknown', 'Medium', 'High'], pair.impact) - 1)
                * 2000000 + driver.millionths + 2) * 16777216 + driver.vulnerability_number,
            'vulnerability_number': driver.vulnerability_number, 'image_id': driver.image_id, 'report_set': driver.report_set,
            'impact': pair.impact, 'severity': pair.severity
        }, 10) as worst
    from (select distinct image_set_id, is_exposed, impact, is_dormant from alike where image_set_id is not null) as kind
    join set_driver as driver on driver.image_set_id = kind.image_set_id and driver.is_exposed = kind.is_exposed
    join exposures.severity_pair as pair
        on pair.likelihood_level = driver.level
        and pair.impact = case when driver.is_loss then kind.impact else 'Low' end
        and pair.severity_cap = '' and pair.is_dormant = kind.is_dormant
    group by kind.image_set_id, kind.is_exposed, kind.impact, kind.is_dormant
),
set_ranked as (
    select
        * exclude (worst),
        unnest(list_filter(worst, lambda item, index:
            index = 1 or worst[index - 1].vulnerability_number <> item.vulnerability_number
                and not list_contains(list_transform(worst[1:index - 1], lambda before: before.vulnerability_number), item.vulnerability_number)
        )[1:5]) as worst
    from set_twice
),
-- Named and explained once, whatever images, sets and services it is in. As a table of its own: the optimiser would else pair
-- the few with every rule before it knows which.
known as materialized (
    select driver.is_exposed, cve.*
    from (select distinct is_exposed, worst.report_set as report_set from set_ranked) as driver
    join resources.report_set as cve on cve.report_set = driver.report_set
),
explained as (
    select
        cve.report_set, cve.is_exposed, number.vulnerability_id, rule.likelihood, rule.rule,
        to_json({
            'kev': cve.kev, 'is_exposed': cve.is_exposed, 'automatable': cve.automatable, 'technical_impact': rule.technical_impact,
            'epss': cve.epss, 'is_exploitation_likely': cve.is_exploitation_likely, 'high_priority': cve.high_priority,
            'is_availability_only': cve.is_availability_only, 'bod_26_04': rule.outcome, 'is_decided_by_cisa': cve.is_decided
        })::varchar as inputs
    from known as cve
    join resources.vulnerability_number as number on number.vulnerability_number = cve.vulnerability_number
    join exposures.vulnerability_likelihood as rule
        on rule.is_exposed = cve.is_exposed and rule.is_kev = cve.kev and rule.is_automatable = cve.automatable
        and rule.technical_impact = case when cve.is_total then 'total' else 'partial' end
        and rule.is_exploitation_likely = cve.is_exploitation_likely and rule.high_priority = cve.high_priority
        and rule.is_decided = cve.is_decided
),
configured as (
    select
        configuration.situation_id, configuration.driver, configuration.likelihood, impact.impact, pair.severity,
        'reference/configuration_likelihood: ' || configuration.rule as rule,
        to_json({
            'trait': configuration.driver, 'condition': configuration.condition, 'is_exposed': configuration.is_exposed,
            'severity_cap': configuration.severity_cap
        })::varchar as inputs,
        ((pair.severity_level * 8 + configuration.level) * 4 + list_position(['Low', 'Unknown', 'Medium', 'High'], impact.impact) - 1)
            * 2000000 * 16777216 - row_number() over (order by configuration.driver) as turn
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
        alike.situation_id, alike.image_set_id, explained.vulnerability_id as driver, 'vulnerability' as kind, explained.likelihood,
        ranked.worst.impact as impact, ranked.worst.severity as severity, explained.rule, explained.inputs, ranked.worst.turn as turn
    from alike
    join set_ranked as ranked
        on ranked.image_set_id = alike.image_set_id and ranked.is_exposed = alike.is_exposed
        and ranked.service_impact = alike.impact and ranked.is_dormant = alike.is_dormant
    join explained
        on explained.report_set = ranked.worst.report_set and explained.is_exposed = alike.is_exposed
    union all
    select
        alike.situation_id, alike.image_set_id, configured.driver, 'configuration', configured.likelihood, configured.impact,
        configured.severity, configured.rule, configured.inputs, configured.turn
    from alike
    join configured on configured.situation_id = alike.situation_id
),
ranked as (
    select *, row_number() over (partition by situation_id, coalesce(image_set_id, 0) order by turn desc) as rank
    from candidate
)
select
    service.resource_id, service.account_id, service.region,
    ranked.driver, ranked.kind, ranked.likelihood, ranked.impact, ranked.severity, ranked.rule, ranked.inputs, ranked.rank
from (
    select situation.resource_id, service.account_id, service.region, situation.situation_id, images.image_set_id
    from exposures.service_situation as situation
    join resources.service as service on service.resource_id = situation.resource_id
    left join exposures.service_image_set as images on images.resource_id = situation.resource_id
) as service
join ranked on ranked.situation_id = service.situation_id and coalesce(ranked.image_set_id, 0) = coalesce(service.image_set_id, 0)
