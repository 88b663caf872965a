-- One row per set of reports that tell of one vulnerability on some running digest: the level of its likelihood on a service that is
-- exposed and on one that is not. On kernel packages alone it drives nothing (level 0).
select
    cve.report_set, cve.vulnerability_number, cve.package_set,
    cve.is_kernel, cve.high_priority, cve.kev, cve.is_exploitation_likely, cve.is_availability_only, cve.is_network_exploitable,
    cve.lacks_vector and not cve.is_kernel as lacks_vector,
    cve.probability is null and not cve.is_kernel as lacks_epss,
    case when not cve.is_kernel then cve.probability end as probability,
    coalesce(not cve.is_kernel and cve.probability >= (select value from reference.exploitability where name = 'epss_counted'), false)
        as is_likely,
    coalesce(not cve.is_kernel and cve.is_network_exploitable and cve.probability >= 1, false) as is_certain,
    coalesce(not cve.is_kernel and cve.is_network_exploitable and cve.probability is not null, false) as counts_as_network,
    -- ln(1 − p) in units of 1e-15, as a whole number: the sum of such is the same in any order.
    case when not cve.is_kernel and cve.is_network_exploitable and cve.probability < 1
        then round(ln(1 - cve.probability) * 1e15)::bigint else 0 end as log_survival,
    case when cve.is_kernel then 0 else likelihood.level_exposed end as level_exposed,
    case when cve.is_kernel then 0 else likelihood.level_not_exposed end as level_not_exposed
from resources.report_set as cve
join (
    select
        is_kev, is_automatable, technical_impact = 'total' as is_total, is_exploitation_likely, is_decided, high_priority,
        max(level) filter (where is_exposed) as level_exposed, max(level) filter (where not is_exposed) as level_not_exposed
    from exposures.vulnerability_likelihood
    group by all
) as likelihood
    on likelihood.is_kev = cve.kev and likelihood.is_automatable = cve.automatable and likelihood.is_total = cve.is_total
    and likelihood.is_exploitation_likely = cve.is_exploitation_likely and likelihood.is_decided = cve.is_decided
    and likelihood.high_priority = cve.high_priority
