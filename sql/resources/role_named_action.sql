-- One row per role × action of a path × named resource it is certainly allowed on: the role itself, a policy attached to it, an administrator it
-- may hand to a service or whose trust it may rewrite, a role that trusts it and may lead on. (What is allowed on everything:
-- principal_action.)
--   named   self, own_policy, administrator (as in reference.permission_paths) or trusts
with asking as (
    select
        spoken.role_arn, principal.account_id, hit.action, hit.passed_to, spoken.statement_id,
        case
            when hit.called = 'sts:assumerole' then 'trusts'
            when hit.called in ('iam:passrole', 'iam:updateassumerolepolicy') then 'administrator'
            when hit.called in ('iam:createpolicyversion', 'iam:setdefaultpolicyversion') then 'own_policy'
            else 'self'
        end as named
    from resources.role_statement as spoken
    join resources.statement_action as hit on hit.statement_id = spoken.statement_id
    join resources.role_principal as principal on principal.role_arn = spoken.role_arn
    where spoken.part <> 'boundary' and hit.effect = 'Allow' and (hit.is_certain or spoken.is_held)
        and (not hit.is_everything or hit.called = 'sts:assumerole')
        and hit.called in (select called from resources.path_action where named is not null)
),
service_trust as (
    -- A trust policy nobody could read may trust any service.
    select role_arn, replace(principal, 'Service:', '') as service
    from (select role_arn, unnest(coalesce(principals, [null])) as principal from snapshot.role_trust where effect = 'Allow')
    where principal is null or principal like 'Service:%'
),
principal_trust as (
    -- What depends on a condition proves nothing. `arn:…:root` and the bare number are the whole account.
    select
        role_arn, account_id,
        nullif(coalesce(regexp_extract(principal, '^AWS:arn:[^:]*:iam::([0-9]{12}):root$', 1), ''), '') as root_account,
        regexp_replace(principal, '^AWS:', '') as principal
    from (
        select role_arn, account_id, unnest(principals) as principal
        from snapshot.role_trust
        where effect = 'Allow' and condition is null and len(list_filter(actions, lambda pattern: 'sts:assumerole' glob pattern)) > 0
    )
),
onward as (
    select role_arn from resources.role_administration where becomes_administrator
    union
    select role_arn from asking where named = 'trusts'
),
-- Resources by who may ask for them: one role, or all of an account.
target as (
    select 'self' as named, role_arn, null::varchar as account_id, null::varchar as passed_to, role_arn as target_arn
    from (select distinct role_arn from asking where named = 'self')
    union all
    select 'own_policy', role_arn, null, null, arn
    from (select role_arn, account_id, unnest(attached_policy_arns) as arn from snapshot.role)
    where split_part(arn, ':', 5) = account_id
    union all
    select distinct 'administrator', null, administrator.account_id, probe.passed_to, administrator.role_arn
    from resources.role_administration as administrator
    cross join (select distinct passed_to from resources.path_action where called in ('iam:passrole', 'iam:updateassumerolepolicy')) as probe
    left join service_trust as trust on trust.role_arn = administrator.role_arn
    left join (select distinct role_arn from snapshot.role_trust) as known on known.role_arn = administrator.role_arn
    where administrator.becomes_administrator
        and (probe.passed_to is null or known.role_arn is null or trust.service = probe.passed_to or (trust.role_arn is not null and trust.service is null))
    union all
    select distinct 'trusts',
        case when trust.principal like 'arn:%' and trust.root_account is null then trust.principal end,
        case when trust.principal = '*' then trust.account_id
            when regexp_full_match(trust.principal, '[0-9]{12}') then trust.principal
            else trust.root_account end,
        null, trust.role_arn
    from principal_trust as trust
    semi join onward on onward.role_arn = trust.role_arn
),
asked as (
    select asking.*, target.target_arn,
        regexp_replace(replace(target.target_arn, ':' || asking.account_id || ':', ':{account-id}:'), '^arn:aws(-[a-z]+)*:', 'arn:aws:') as resource
    from asking
    join target on target.named = asking.named and target.role_arn = asking.role_arn
    where asking.named <> 'trusts' or target.target_arn <> asking.role_arn  -- a role gains nothing by assuming itself
    union all
    select asking.*, target.target_arn,
        regexp_replace(replace(target.target_arn, ':' || asking.account_id || ':', ':{account-id}:'), '^arn:aws(-[a-z]+)*:', 'arn:aws:')
    from asking
    join target on target.named = asking.named and target.account_id = asking.account_id and target.passed_to is not distinct from asking.passed_to
    where target.target_arn <> asking.role_arn
),
pattern as (
    select statement_id, unnest(coalesce(resources, not_resources)) as pattern, resources is null as is_excepted
    from resources.policy_statement
),
question as (
    select distinct asked.role_arn, asked.action, asked.named, asked.target_arn, asked.resource
    from asked
    join pattern on pattern.statement_id = asked.statement_id and not pattern.is_excepted
    where asked.resource glob pattern.pattern
    union
    select any_value(asked.role_arn), any_value(asked.action), any_value(asked.named), any_value(asked.target_arn), any_value(asked.resource)
    from asked
    join pattern on pattern.statement_id = asked.statement_id and pattern.is_excepted
    group by asked.role_arn, asked.action, asked.target_arn, asked.statement_id
    having not bool_or(asked.resource glob pattern.pattern)
),
bound as (
    select role_arn, account_id, control_key, has_boundary from resources.role_principal
),
-- What else speaks of these actions: Denies, boundaries, service control policies.
speaking as (
    select spoken.holder, hit.action, hit.effect, spoken.statement_id
    from (
        select role_arn as holder, part, statement_id, is_held from resources.role_statement
        union all
        select holder, part, statement_id, false from resources.applied_statement where holder_kind = 'control'
    ) as spoken
    join resources.statement_action as hit on hit.statement_id = spoken.statement_id
    where hit.action in (select action from question)
        and (hit.effect = 'Deny' and (hit.is_certain or spoken.is_held) or hit.effect = 'Allow' and hit.is_possible and spoken.part = 'boundary')
),
spoken as (
    select question.role_arn, question.action, question.target_arn, speaking.effect
    from (
        select role_arn, action, target_arn, resource, role_arn as speaker from question
        union all
        select question.role_arn, question.action, question.target_arn, question.resource, control.policy_id
        from question
        join (select role_arn, unnest(flatten(from_json(control_key, '[["VARCHAR"]]'))) as policy_id from bound) as control using (role_arn)
        where control.policy_id in (select holder from speaking)
    ) as question
    join speaking on speaking.holder = question.speaker and speaking.action = question.action
    join pattern on pattern.statement_id = speaking.statement_id
    group by question.role_arn, question.action, question.target_arn, speaking.effect, speaking.statement_id
    having case when any_value(pattern.is_excepted) then not bool_or(question.resource glob pattern.pattern)
        else bool_or(question.resource glob pattern.pattern) end
)
select question.role_arn, question.action, question.named, question.target_arn
from question
join bound on bound.role_arn = question.role_arn
anti join (select * from spoken where effect = 'Deny') as denied
    on denied.role_arn = question.role_arn and denied.action = question.action and denied.target_arn = question.target_arn
anti join (select control_key, action from resources.control_cut where is_silence) as cut
    on cut.control_key = bound.control_key and cut.action = question.action
left join (select distinct role_arn, action, target_arn from spoken where effect = 'Allow') as within_boundary
    on within_boundary.role_arn = question.role_arn and within_boundary.action = question.action
    and within_boundary.target_arn = question.target_arn
where not bound.has_boundary or within_boundary.role_arn is not null
