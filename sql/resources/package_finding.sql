-- As a view, one row per finding × package of any image that was asked about: where it is, and what it says. said_hash is the same for
-- findings that say the same of different images, as those of images built on one base do; that two unlike ones share it is a chance of
-- one in a billion for a hundred thousand of them.
select
    account_id, region, repository_name, image_digest, finding_arn,
    vulnerability_id, package_name, installed_version, package_file_path, severity, exploit_available, cvss_vector, cvss_base_score, epss,
    is_network_exploitable, automatable, is_total, is_availability_only, is_suppressed, fixed_in_version, fix_command, observed_date,
    hash(
        vulnerability_id, package_name, installed_version, package_file_path, severity, exploit_available, cvss_vector, cvss_base_score, epss,
        is_network_exploitable, automatable, is_total, is_availability_only, is_suppressed, fixed_in_version, fix_command, observed_date
    ) as said_hash
from (
    select
        account_id, region, repository_name, image_digest, finding_arn,
        vulnerability_id, coalesce(package_name, '') as package_name, package_version as installed_version, package_file_path,
        severity, exploit_available, cvss_vector, cvss_base_score, epss,
        attack_vector = 'NETWORK' and privileges_required = 'NONE' and user_interaction = 'NONE' as is_network_exploitable,
        attack_vector = 'NETWORK' and attack_complexity = 'LOW' and privileges_required = 'NONE' and user_interaction = 'NONE'
            as automatable,
        confidentiality_impact = 'HIGH' and integrity_impact = 'HIGH' as is_total,
        confidentiality_impact = 'NONE' and integrity_impact = 'NONE' as is_availability_only,
        finding_status = 'SUPPRESSED' as is_suppressed, fixed_in_version, fix_command, observed_date
    from snapshot.image_finding
)
