-- One row per situation × configuration that could drive its severity, as it is: the severity it would give alone, in words and as the
-- digits of one number (`turn`, as in driver_rank).
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
