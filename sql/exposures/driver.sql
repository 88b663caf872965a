-- As a view, one row per service × thing that could drive its severity, as it is: every configuration, and the five worst vulnerabilities.
-- Rank 1 decided the severity.
select
    service.resource_id, service.account_id, service.region,
    coalesce(vulnerability.vulnerability_id, ranked.trait) as driver,
    case when ranked.report_set is not null then 'vulnerability' else 'configuration' end as kind,
    coalesce(vulnerability.likelihood, configuration.likelihood) as likelihood,
    ranked.impact, ranked.severity,
    coalesce(vulnerability.rule, configuration.rule) as rule,
    coalesce(vulnerability.inputs, configuration.inputs) as inputs,
    ranked.rank
from (
    select situation.resource_id, service.account_id, service.region, situation.situation_id, images.image_set_id
    from exposures.service_situation as situation
    join resources.service as service on service.resource_id = situation.resource_id
    left join exposures.service_image_set as images on images.resource_id = situation.resource_id
) as service
join exposures.driver_rank as ranked
    on ranked.situation_id = service.situation_id and coalesce(ranked.image_set_id, 0) = coalesce(service.image_set_id, 0)
left join exposures.vulnerability_driver as vulnerability
    on vulnerability.report_set = ranked.report_set and vulnerability.is_exposed = ranked.is_exposed
left join exposures.situation_driver as configuration
    on configuration.situation_id = ranked.situation_id and configuration.driver = ranked.trait
