-- One row per running digest × active vulnerability, its packages folded; malicious packages are a trait of their own. Kernel packages inside an image count nothing where
-- another package has the vulnerability too (is_kernel: none has). package_set stands for its other packages, whatever their order;
-- the same package in several versions or files makes another set of the same names.
select
    image_id, vulnerability_number,
    bool_and(is_kernel_package) as is_kernel,
    coalesce(sum((hash(package_name) >> 12)::bigint) filter (where not is_kernel_package), 0)::bigint as package_set,
    bool_or(high_priority) as high_priority,
    bool_or(coalesce(kev, false)) as kev,
    bool_or(coalesce(automatable, false)) as automatable,
    bool_or(technical_impact = 'total') as is_total,
    bool_or(is_exploitation_likely) as is_exploitation_likely,
    bool_and(decision_source = 'vulnrichment') as is_decided,
    bool_and(coalesce(is_availability_only, false)) as is_availability_only,
    bool_or(coalesce(is_network_exploitable, false)) as is_network_exploitable,
    bool_or(is_network_exploitable is null) as lacks_vector,
    bool_or(exploit_available) as exploit_available,
    max(epss) as epss,
    max(probability) as probability,
    max(cvss_base_score) as cvss_base_score
from resources.package_vulnerability
where not is_suppressed and not is_malicious_package
group by image_id, vulnerability_number
