-- One row per trait scenario: the impact of a compromise, first match of High, Medium, Unknown, Low.
with reason as (
    select
        scenario.resource_id, scenario.without,
        max({
            'level': case reason.impact when 'High' then 3 when 'Medium' then 2 else 1 end,
            'impact': reason.impact
        }) as worst,
        list_sort(list(distinct {'impact': reason.impact, 'reason': reason.reason})) as reasons
    from exposures.trait_scenario as scenario
    join exposures.impact_reason as reason
        on reason.resource_id = scenario.resource_id and not list_has_any(reason.needs_traits, scenario.removed_traits)
    group by scenario.resource_id, scenario.without
)
select
    scenario.resource_id, scenario.without,
    coalesce(reason.worst.impact, 'Low') as impact,
    coalesce(
        array_to_string(
            list_transform(list_filter(reason.reasons, lambda item: item.impact = reason.worst.impact), lambda item: item.reason)[1:3],
            '; '),
        'nothing found that a compromise would give beyond the service itself'
    ) as impact_reason
from exposures.trait_scenario as scenario
left join reason on reason.resource_id = scenario.resource_id and reason.without = scenario.without
