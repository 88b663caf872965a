-- One row per running digest × active vulnerability, its packages folded. Kernel packages inside an image count nothing
-- where another package has the vulnerability too, and drive nothing where none has (no packages, likelihood level 0).
-- place_id stands for digest and package set: a vulnerability is gone when all its places are.
with folded as (
    select
        image.image_id,
        vulnerability.vulnerability_id,
        bool_and(vulnerability.is_kernel_package) as is_kernel,
        list(vulnerability.package_name) filter (where not vulnerability.is_kernel_package) as packages,
        bool_or(vulnerability.high_priority) as high_priority,
        bool_or(coalesce(vulnerability.kev, false)) as kev,
        bool_or(coalesce(vulnerability.automatable, false)) as automatable,
        bool_or(vulnerability.technical_impact = 'total') as is_total,
        bool_or(vulnerability.is_exploitation_likely) as is_exploitation_likely,
        bool_and(vulnerability.decision_source = 'vulnrichment') as is_decided,
        bool_and(coalesce(vulnerability.is_availability_only, false)) as is_availability_only,
        bool_or(coalesce(vulnerability.is_network_exploitable, false)) as is_network_exploitable,
        bool_or(vulnerability.is_network_exploitable is null) as lacks_vector,
        max(vulnerability.epss) as epss,
        max(vulnerability.probability) as probability
    from resources.image_vulnerability as vulnerability
    join exposures.image as image using (registry_account, region, repository_name, image_digest)
    where not vulnerability.is_suppressed and not vulnerability.is_malicious_package
    group by image.image_id, vulnerability.vulnerability_id
),
placed as (
    select
        * exclude (packages),
        list_sort(list_distinct(coalesce(packages, []))) as packages
    from folded
)
select
    placed.image_id, placed.vulnerability_id, number.vulnerability_number, placed.packages,
    hash(placed.image_id, placed.packages) as place_id,
    placed.is_kernel, placed.high_priority, placed.kev, placed.automatable,
    case when placed.is_total then 'total' else 'partial' end as technical_impact,
    placed.is_exploitation_likely, placed.is_decided, placed.is_availability_only, placed.is_network_exploitable,
    placed.lacks_vector and not placed.is_kernel as lacks_vector,
    placed.probability is null and not placed.is_kernel as lacks_epss,
    placed.epss,
    case when not placed.is_kernel then placed.probability end as probability,
    case when placed.is_kernel then 0 else exposed.level end as level_exposed,
    case when placed.is_kernel then 0 else unexposed.level end as level_not_exposed
from placed
-- Numbered in the order of their ids: where millions are ranked, a number is the cheap tie-break.
join (
    select vulnerability_id, row_number() over (order by vulnerability_id) as vulnerability_number
    from (select distinct vulnerability_id from folded)
) as number on number.vulnerability_id = placed.vulnerability_id
join exposures.vulnerability_likelihood as exposed
    on exposed.is_exposed and exposed.is_kev = placed.kev and exposed.is_automatable = placed.automatable
    and exposed.technical_impact = case when placed.is_total then 'total' else 'partial' end
    and exposed.is_decided = placed.is_decided and exposed.is_exploitation_likely = placed.is_exploitation_likely and exposed.high_priority = placed.high_priority
join exposures.vulnerability_likelihood as unexposed
    on not unexposed.is_exposed and unexposed.is_kev = placed.kev and unexposed.is_automatable = placed.automatable
    and unexposed.technical_impact = case when placed.is_total then 'total' else 'partial' end
    and unexposed.is_decided = placed.is_decided and unexposed.is_exploitation_likely = placed.is_exploitation_likely and unexposed.high_priority = placed.high_priority
