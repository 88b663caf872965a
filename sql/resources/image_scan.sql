-- One row per running ECR digest: what is known of its vulnerabilities.
-- Nothing said about a digest is never "clean": Amazon Inspector closes the findings of images it stops scanning. `sees_all_packages` is
-- false where only ECR's basic scanning looked, which knows the packages of the operating system and no others.
with registry as (
    select
        account_id, region,
        -- Inspector knows a multi-architecture image by its platforms: silence counts only where ECR named those.
        bool_and(status = 'not_enabled' or status = 'ok' and platforms_seen) filter (where dataset = 'image_coverage')
            as is_answered
    from (
        select *, coalesce(bool_and(status = 'ok') filter (where dataset = 'image') over (partition by account_id, region), false)
            as platforms_seen
        from snapshot.coverage
        where dataset in ('image', 'image_coverage')
    )
    group by account_id, region
),
meaning as (
    select said.scan_reason, min(reason.meaning) as meaning
    from (select distinct scan_reason from snapshot.image_coverage where scan_reason is not null) as said
    join reference.scan_reasons as reason on regexp_full_match(said.scan_reason, reason.reason_pattern)
    group by said.scan_reason
),
-- A basic scan is of one moment: without its day, or too long ago, it says nothing of today.
coverage as (
    select
        coverage.account_id, coverage.region, coverage.repository_name, coverage.image_digest,
        coalesce(coverage.finding_source, 'inspector') as finding_source,
        meaning.meaning,
        coverage.scan_status = 'ACTIVE' and meaning.meaning is distinct from 'pending'
            and (coverage.finding_source is distinct from 'ecr_basic'
                or coalesce(epoch(coverage.last_scanned_at) >= epoch(day.snapshot_date - basic_scan.days), false)) as is_active
    from snapshot.image_coverage as coverage
    left join meaning on meaning.scan_reason = coverage.scan_reason
    cross join run.day as day
    cross join (
        select max(value)::integer as days from reference.image_scanning where name = 'basic_scan_days'
    ) as basic_scan
),
said as (
    select
        manifest.registry_account, manifest.region, manifest.repository_name, manifest.image_digest,
        bool_or(coverage.is_active) as is_active,
        bool_or(coverage.is_active) filter (where coverage.finding_source = 'ecr_basic') as is_basic,
        bool_or(coverage.meaning in ('pending', 'never', 'failed')) as is_unscanned,
        bool_or(coverage.meaning = 'unsupported') as is_unsupported
    from resources.image_manifest as manifest
    join coverage
        on coverage.account_id = manifest.registry_account
        and coverage.region = manifest.region
        and coverage.repository_name = manifest.repository_name
        and coverage.image_digest = manifest.manifest_digest
    group by all
),
found as (
    select registry_account, region, repository_name, image_digest
    from resources.image_platform
    where has_findings
),
before as (
    select registry_account, registry_region as region, repository_name, image_digest,
        bool_or(scan_status in ('scanned', 'no_longer_scanned')) as was_scanned,
        bool_or(scan_status = 'never_scanned') as was_never_scanned
    from previous.service_image
    where image_digest is not null and registry_account is not null
    group by all
)
select
    digest.registry_account, digest.region, digest.repository_name, digest.image_digest,
    case
        when said.is_active then 'scanned'
        -- Coverage not seen but findings were: somebody scans it.
        when said.image_digest is null and found.image_digest is not null then 'scanned'
        when said.is_unsupported then 'unsupported'
        when said.is_unscanned and not coalesce(before.was_scanned, false) then 'never_scanned'
        when said.image_digest is not null or (before.was_scanned and registry.is_answered) then 'no_longer_scanned'
        -- The registry answered today (or has no Inspector at all) and does not know the image: an answer of an earlier day
        -- says nothing of an image that is new.
        when registry.is_answered or before.was_never_scanned then 'never_scanned'
        else 'unknown'
    end as scan_status,
    not coalesce(said.is_basic, false) as sees_all_packages
from (
    select distinct registry_account, region, repository_name, image_digest from resources.image_manifest
) as digest
left join said using (registry_account, region, repository_name, image_digest)
left join found using (registry_account, region, repository_name, image_digest)
left join before using (registry_account, region, repository_name, image_digest)
left join registry on registry.account_id = digest.registry_account and registry.region = digest.region
