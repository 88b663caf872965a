-- One row per role × action of a path × named resource it is certainly allowed on: the role itself, a policy attached to it, an administrator it
-- may hand to a service or whose trust it may rewrite, a role that trusts it. (What is allowed on everything: principal_action.)
with target as (
    select role.role_arn, 'self' as named, role.role_arn as target_arn, null::varchar as passed_to, true as is_any_service
    from snapshot.role as role
    union all
    select role_arn, 'own_policy', arn, null, true
    from (select role_arn, account_id, unnest(attached_policy_arns) as arn from snapshot.role)
    where split_part(arn, ':', 5) = account_id
    union all
    -- To a service that the administrator trusts; a trust policy nobody could read may trust any.
    select role.role_arn, 'administrator', administrator.role_arn, replace(trust.principal, 'Service:', ''), trust.principal is null
    from resources.role_administration as administrator
    join snapshot.role as role on role.account_id = administrator.account_id and role.role_arn <> administrator.role_arn
    left join (
        select role_arn, unnest(coalesce(principals, [null])) as principal from snapshot.role_trust where effect = 'Allow'
    ) as trust on trust.role_arn = administrator.role_arn
    where administrator.becomes_administrator and (trust.principal is null or trust.principal like 'Service:%')
    union all
    select role_arn, 'trusts', trusting_arn, null, true
    from (
        select role.role_arn, trust.role_arn as trusting_arn
        from snapshot.role as role
        join (
            select role_arn, unnest(principals) as principal
            from snapshot.role_trust
            where effect = 'Allow' and condition is null
                and len(list_filter(actions, lambda pattern: 'sts:assumerole' glob pattern)) > 0
        ) as trust
            on trust.principal in ('*', 'AWS:*', 'AWS:' || role.role_arn, 'AWS:' || role.account_id,
                'AWS:' || regexp_extract(role.role_arn, '^arn:[^:]*:', 0) || 'iam::' || role.account_id || ':root')
        where trust.role_arn <> role.role_arn
    )
),
candidate as (
    select
        target.*, principal.control_key, principal.has_boundary,
        regexp_replace(
            replace(target.target_arn, ':' || principal.account_id || ':', ':{account}:'), '^arn:aws(-[a-z]+)*:', 'arn:aws:') as resource
    from target
    join resources.role_principal as principal using (role_arn)
),
allowing as (
    select applied.holder as role_arn, hit.action, hit.passed_to, hit.statement_id
    from resources.applied_statement as applied
    join resources.statement_action as hit using (statement_id)
    where applied.holder_kind = 'role' and applied.part <> 'boundary' and hit.effect = 'Allow' and hit.is_certain
        and (not hit.is_everything or hit.action = 'sts:assumerole')
        and hit.action in (select action from resources.path_action where named is not null)
),
asked as (
    select distinct
        allowing.role_arn, allowing.action, allowing.passed_to, candidate.named, candidate.target_arn, candidate.resource,
        candidate.control_key, candidate.has_boundary
    from allowing
    join candidate on candidate.role_arn = allowing.role_arn
        and case allowing.action
            when 'iam:passrole' then candidate.named = 'administrator' and (candidate.is_any_service or candidate.passed_to = allowing.passed_to)
            when 'iam:updateassumerolepolicy' then candidate.named = 'administrator'
            when 'sts:assumerole' then candidate.named = 'trusts'
            when 'iam:createpolicyversion' then candidate.named = 'own_policy'
            when 'iam:setdefaultpolicyversion' then candidate.named = 'own_policy'
            else candidate.named = 'self'
        end
    join resources.policy_statement as statement using (statement_id)
    where case when statement.resources is not null then len(list_filter(statement.resources, lambda pattern: resource glob pattern)) > 0
        else len(list_filter(statement.not_resources, lambda pattern: resource glob pattern)) = 0 end
),
-- What else speaks about these roles and actions: Denies, boundaries, service control policies.
spoken as (
    select
        asked.role_arn, asked.action, asked.passed_to, asked.target_arn,
        bool_or(hit.effect = 'Deny' and hit.is_certain) as is_denied,
        bool_or(hit.effect = 'Allow' and other.part = 'boundary') as is_in_boundary
    from (
        select *, role_arn as speaker from asked
        union all
        select *, unnest(flatten(from_json(control_key, '[["VARCHAR"]]'))) from asked
    ) as asked
    join resources.applied_statement as other on other.holder = asked.speaker
    join resources.statement_action as hit
        on hit.statement_id = other.statement_id and hit.action = asked.action and hit.passed_to is not distinct from asked.passed_to
    join resources.policy_statement as statement on statement.statement_id = hit.statement_id
    where (hit.effect = 'Deny' or other.part = 'boundary')
        and case when statement.resources is not null then len(list_filter(statement.resources, lambda pattern: asked.resource glob pattern)) > 0
            else len(list_filter(statement.not_resources, lambda pattern: asked.resource glob pattern)) = 0 end
    group by all
)
select asked.role_arn, asked.action, asked.passed_to, asked.named, asked.target_arn
from asked
left join spoken
    on spoken.role_arn = asked.role_arn and spoken.action = asked.action and spoken.target_arn = asked.target_arn
    and spoken.passed_to is not distinct from asked.passed_to
left join (select control_key, action, passed_to from resources.control_cut where is_silence) as cut
    on cut.control_key = asked.control_key and cut.action = asked.action and cut.passed_to is not distinct from asked.passed_to
where cut.action is null and not coalesce(spoken.is_denied, false)
    and (not asked.has_boundary or coalesce(spoken.is_in_boundary, false))
