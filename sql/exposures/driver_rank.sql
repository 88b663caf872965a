-- One row per situation × image set of some service × thing that could drive its severity, as it is: every configuration (`trait`), and the
-- five worst vulnerabilities (`report_set`).
-- Rank 1 decided the severity: worst severity, then likelihood, then impact (which p must not turn from night to night), then
-- vulnerabilities by p (the newer id of equals) before configurations by name. `turn` holds that order in the digits of one number.
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
candidate as (
    select
        alike.situation_id, alike.image_set_id, alike.is_exposed, ranked.worst.report_set as report_set, null::varchar as trait,
        ranked.worst.impact as impact, ranked.worst.severity as severity, ranked.worst.turn as turn
    from alike
    join set_ranked as ranked
        on ranked.image_set_id = alike.image_set_id and ranked.is_exposed = alike.is_exposed
        and ranked.service_impact = alike.impact and ranked.is_dormant = alike.is_dormant
    union all
    select
        alike.situation_id, alike.image_set_id, alike.is_exposed, null, configured.driver, configured.impact, configured.severity,
        configured.turn
    from alike
    join exposures.situation_driver as configured on configured.situation_id = alike.situation_id
)
select
    * exclude (turn),
    row_number() over (partition by situation_id, coalesce(image_set_id, 0) order by turn desc) as rank
from candidate
