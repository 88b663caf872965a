-- One row per distinct thing said of a vulnerability in a package, whatever images it is said of, numbered: by findings, and by rows
-- kept of an earlier day (is_kept). Millions of findings say some ten thousand things.
select
    row_number() over (
        order by vulnerability_id, package_name, installed_version, package_file_path, is_suppressed, observed_date, is_kept, said_hash
    ) as report_number,
    *,
    hash(vulnerability_id, package_name, installed_version, package_file_path) as row_hash
from (
    select distinct false as is_kept, * exclude (account_id, region, repository_name, image_digest, finding_arn)
    from resources.package_finding
    union all by name
    select distinct true as is_kept, * exclude (image_id, finding_arn)
    from resources.kept_finding
)
