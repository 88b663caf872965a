-- One row per trait scenario: the impact of a compromise, first match of High, Medium, Unknown, Low.
with reason as (
    select
        scenario.situation_id, scenario.without,
        max({
            'level': case situation.reason.impact when 'High' then 3 when 'Medium' then 2 else 1 end,
            'impact': situation.reason.impact
        }) as worst
    from exposures.trait_scenario as scenario
    join (select situation_id, unnest(reasons) as reason from exposures.situation) as situation
        on situation.situation_id = scenario.situation_id
        and not list_has_any(situation.reason.needs_traits, scenario.removed_traits)
    group by scenario.situation_id, scenario.without
)
select scenario.situation_id, scenario.without, coalesce(reason.worst.impact, 'Low') as impact
from exposures.trait_scenario as scenario
left join reason on reason.situation_id = scenario.situation_id and reason.without = scenario.without
