-- One row per exposure of severity LOW or above: the finding that tells it in Security Hub, and the hash of what it durably says.
-- Equal hash: nothing is sent but heartbeats. Covered are severity, likelihood, impact, owner, the traits hit with their durable
-- evidence, the worst vulnerabilities in an order that knows no probability, the fixes that reach the lowest severity, and until when it is
-- accepted (left out where it is not, so that no other finding differs for it). Not covered:
-- EPSS, probability, score, counts, dates, tasks, interfaces, instances and addresses, what is unknown tonight, and every wording.
-- INFORMATIONAL stays in the lake: AWS does not publish it either.
with hit as (
    select resource_id, trait,
        -- Theirs lists whichever vulnerabilities are likeliest tonight; the durable ones stand for it.
        case when trait not in ('vulnerability', 'high_priority_vulnerability') then evidence end as evidence
    from traits.all
    where state = 'hit'
),
-- Services alike have evidence alike: each is looked at once.
durable as materialized (
    select evidence, durable_evidence(evidence) as lasting
    from (select distinct evidence from hit where evidence is not null)
),
hits as (
    select hit.resource_id, list_sort(list({'trait': hit.trait, 'evidence': durable.lasting})) as traits
    from hit
    left join durable on durable.evidence = hit.evidence
    group by hit.resource_id
),
-- Which of several equally good fixes ranks first depends on tonight's probabilities; all that reach the same severity do not.
fixes as (
    select fix.resource_id, list_sort(list(fix.removed_kind || ' ' || fix.removed || ' ' || fix.severity_after)) as lowering
    from exposures.fix as fix
    join exposures.fix as best on best.resource_id = fix.resource_id and best.rank = 1 and best.severity_after = fix.severity_after
    where fix.severity_after <> fix.severity_before
    group by fix.resource_id
),
told as (
    select
        exposure.account_id, exposure.region, exposure.resource_id, exposure.severity,
        substr(exposure.resource_id, strpos(exposure.resource_id, ':service/') + length(':service/')) as path,
        'ecs-exposure/' || split_part(exposure.resource_id, ':', 2) || '/' || exposure.account_id || '/' || exposure.region || '/' as prefix,
        to_json({
            'severity': exposure.severity, 'likelihood': exposure.likelihood, 'impact': exposure.impact, 'owner': exposure.owner,
            'traits': hits.traits, 'vulnerability_ids': durable_vulnerability.vulnerability_ids, 'fixes': fixes.lowering
        })::varchar || coalesce('accepted until ' || exposure.accepted_until, '') as said
    from exposures.exposure as exposure
    left join hits on hits.resource_id = exposure.resource_id
    left join fixes on fixes.resource_id = exposure.resource_id
    left join exposures.service_image_set as image_set on image_set.resource_id = exposure.resource_id
    left join findings.durable_vulnerability as durable_vulnerability on durable_vulnerability.image_set_id = image_set.image_set_id
    where exposure.severity <> 'INFORMATIONAL'
)
select
    account_id, region, resource_id,
    -- Security Hub takes 512 characters; what is not plain goes by its hash.
    prefix || case
        when regexp_full_match(path, '[A-Za-z0-9_./-]+') and length(prefix) + length(path) <= 512 then path
        else sha256(resource_id)
    end as finding_id,
    sha256(said) as content_hash,
    severity
from told
