-- One row per set of reports that tell of one vulnerability on some running digest (report_set of image_cve), its packages folded: what
-- is the same on all digests is decided once. Kernel packages inside an image count nothing where another package has the vulnerability
-- too (is_kernel: none has). package_set stands for its other packages, whatever their order; the same package in several versions or
-- files makes another set of the same names.
with found as (
    select report_set, vulnerability_number, min(image_id) as image_id
    from resources.image_cve
    group by report_set, vulnerability_number
),
-- Which reports a set of several has is seen on any digest that has it.
member as (
    select report_set, report_set as report_number from found where report_set > 0
    union all
    select found.report_set, row.report_number
    from (select * from found where report_set < 0) as found
    join resources.image_report as row using (image_id)
    join resources.package_vulnerability as vulnerability
        on vulnerability.report_number = row.report_number and vulnerability.vulnerability_number = found.vulnerability_number
    where not vulnerability.is_suppressed and not vulnerability.is_malicious_package
)
select
    member.report_set, vulnerability_number,
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
from member
join resources.package_vulnerability using (report_number)
group by member.report_set, vulnerability_number
