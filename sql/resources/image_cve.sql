-- One row per running digest × active vulnerability, and the set of reports that tell of it there: the one report's number, or where
-- several packages have it a negative number that is theirs. Malicious packages are a trait of their own.
with active as (
    select report_number, vulnerability_number, (hash(report_number) >> 4)::bigint as report_hash
    from resources.package_vulnerability
    where not is_suppressed and not is_malicious_package
)
select
    row.image_id, active.vulnerability_number,
    case
        when min(active.report_number) = max(active.report_number) then min(active.report_number)
        else -(sum(active.report_hash) % 4611686018427387904)::bigint - 1
    end as report_set
from resources.image_report as row
join active using (report_number)
group by row.image_id, active.vulnerability_number
