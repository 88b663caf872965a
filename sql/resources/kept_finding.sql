-- One row per running digest × vulnerability × package kept as it was last seen: of a digest that is not (or no longer) scanned, whose
-- silence says nothing. Nor does it where only the operating system's packages are looked at, and the row is of another (those name
-- the file they sit in).
with unscanned as (
    select image_id, registry_account, region, repository_name, image_digest, scan_status = 'scanned' as keeps_others_only
    from resources.image
    where scan_status <> 'scanned' or not sees_all_packages
),
seen as (
    select
        unscanned.image_id,
        hash(finding.vulnerability_id, finding.package_name, finding.installed_version, finding.package_file_path) as row_hash
    from unscanned
    join resources.image_manifest as manifest using (registry_account, region, repository_name, image_digest)
    join resources.package_finding as finding
        on finding.account_id = manifest.registry_account
        and finding.region = manifest.region
        and finding.repository_name = manifest.repository_name
        and finding.image_digest = manifest.manifest_digest
),
kept as (
    select
        unscanned.image_id, before.finding_arn,
        before.vulnerability_id, before.package_name, before.installed_version, before.package_file_path, before.severity,
        before.exploit_available, before.cvss_vector, before.cvss_base_score,
        before.is_network_exploitable, before.automatable,
        case when before.is_network_exploitable is not null then before.technical_impact = 'total' end as is_total,
        before.is_availability_only, before.is_suppressed, before.fixed_in_version, before.fix_command, before.observed_date
    from previous.image_vulnerability as before
    join unscanned using (registry_account, region, repository_name, image_digest)
    anti join seen
        on seen.image_id = unscanned.image_id
        and seen.row_hash = hash(before.vulnerability_id, before.package_name, before.installed_version, before.package_file_path)
    where before.package_file_path is not null or not unscanned.keeps_others_only
)
select
    *,
    hash(
        vulnerability_id, package_name, installed_version, package_file_path, severity, exploit_available, cvss_vector, cvss_base_score,
        is_network_exploitable, automatable, is_total, is_availability_only, is_suppressed, fixed_in_version, fix_command, observed_date
    ) as said_hash
from kept
