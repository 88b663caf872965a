-- One row per IAM role: what its policies allow on everything, after Deny statements and its permissions boundary.
-- Decided statement by statement on a list of probe actions (reference.probe_actions): a probe is allowed when an
-- unconditional Allow covers it on all resources, remains when no unconditional Deny on all resources takes it away and
-- the boundary, where one is set, lets it through. Service control policies are not collected: this is "before SCPs".
--   is_administrator   every action that writes IAM policies is granted (full wildcard, `*:*`, unions, NotAction, iam:*)
--                      and at least one remains: a token Deny or an all-but-one boundary changes nothing
--   service_wildcards  services granted whole on all resources
--   data_reads         actions that read data in bulk, on all resources
--   is_readable        no document was malformed (a statement without any pattern): else more may be allowed than is shown,
--                      and under an unreadable boundary nothing is known to be
with statement as (
    select role_arn, policy_kind, policy_name, effect, actions, not_actions, resources, not_resources, condition
    from snapshot.role_statement
    union all
    -- AWS's own policies by name, where their document was not collected.
    select role.role_arn, 'attached', arn, 'Allow', case when arn like '%/IAMFullAccess' then ['iam:*'] else ['*'] end,
        null, ['*'], null, null
    from (select role_arn, unnest(attached_policy_arns) as arn from snapshot.role) as role
    where regexp_matches(role.arn, '^arn:[a-z-]+:iam::aws:policy/(AdministratorAccess|IAMFullAccess)$')
        and not exists (
            select 1 from snapshot.role_statement as known
            where known.role_arn = role.role_arn and known.policy_name = role.arn
                and (known.actions is not null or known.not_actions is not null)
        )
),
judged as (
    select
        *,
        row_number() over (order by role_arn, policy_kind, policy_name, effect, actions, not_actions, resources, not_resources, condition)
            as statement_id,
        policy_kind = 'boundary' as is_boundary,
        -- A condition may fail, so a conditional Allow proves nothing and a conditional Deny removes nothing.
        condition is null or condition in ('{}', '') as is_unconditional
    from statement
),
-- Distinct patterns against probes: a few thousand, whatever the number of roles. GLOB reads `*` and `?` as IAM does;
-- a bracket would open a character class there.
pattern as (
    select distinct unnest(list_concat(coalesce(actions, []), coalesce(not_actions, []))) as pattern
    from judged
),
pattern_match as (
    select pattern.pattern, probe.action, probe.class
    from pattern
    join reference.probe_actions as probe
        on probe.action glob replace(lower(pattern.pattern), '[', '[[]')
),
resource_pattern as (
    select distinct unnest(list_concat(coalesce(resources, []), coalesce(not_resources, []))) as pattern
    from judged
),
broad_resource as (
    -- `*`, `arn:aws:*`, `arn:aws:iam::123456789012:*`, `arn:aws:s3:::*/*`, `…:table/*`, `…:secret:*`: all there is of a kind.
    select
        pattern,
        regexp_full_match(pattern, '[*:/]*\*[*:/]*|arn:\*|arn:[^:]*:\*|arn:[^:]*:(\*|iam):[^:]*:[*0-9]*(:[*:/]*)?\*?') as is_everything,
        regexp_full_match(pattern, 'arn:[^:]*:[^:]*:[^:]*:[^:]*:((secret:|table/|parameter/|key/|log-group:|function:)?\*(/\*)?)')
            as is_all_of_a_kind
    from resource_pattern
),
resource_scope as (
    select
        judged.statement_id,
        case
            -- NotResource leaves out what it names: an Allow that leaves out IAM grants none of it, and a Deny that leaves
            -- out any of IAM does not take administration away.
            when judged.not_resources is not null then len(list_filter(judged.not_resources, lambda left_out:
                case judged.effect when 'Allow' then regexp_full_match(left_out, '\*|arn:[^:]*:(\*|iam):[^:]*:[^:]*:\**|arn:[^:]*:(iam:)?\*|arn:\*')
                else regexp_matches(left_out, '^(\*|arn:\*|arn:[^:]*:(\*|iam))') end)) = 0
            when judged.resources is null then judged.not_actions is not null
            else bool_or(broad.is_everything)
        end as is_everything,
        case when judged.resources is null then true else bool_or(broad.is_everything or broad.is_all_of_a_kind) end as is_broad
    from judged
    left join (select statement_id, unnest(resources) as pattern from judged) as named using (statement_id)
    left join broad_resource as broad on broad.pattern = named.pattern
    group by judged.statement_id, judged.effect, judged.resources, judged.not_resources, judged.not_actions
),
scoped as (
    select judged.*, coalesce(scope.is_everything, false) as is_everything, coalesce(scope.is_broad, false) as is_broad
    from judged
    join resource_scope as scope using (statement_id)
),
action_hit as (
    select named.statement_id, matched.action, matched.class
    from (select statement_id, unnest(actions) as pattern from judged) as named
    join pattern_match as matched on matched.pattern = named.pattern
    union
    select judged.statement_id, probe.action, probe.class
    from judged
    cross join reference.probe_actions as probe
    where judged.not_actions is not null
        and not exists (
            select 1
            from pattern_match as excluded
            where excluded.action = probe.action and list_contains(judged.not_actions, excluded.pattern)
        )
),
effect as (
    select
        scoped.role_arn, hit.action, hit.class,
        bool_or(effect = 'Allow' and not is_boundary and is_unconditional
            and case hit.class when 'policy_write' then is_everything else is_everything or is_broad end) as is_allowed,
        bool_or(effect = 'Deny' and is_unconditional and is_everything) as is_denied,
        -- A conditional or narrow boundary Allow may still let it through: only silence takes away.
        bool_or(effect = 'Allow' and is_boundary
            and case hit.class when 'policy_write' then is_everything else is_everything or is_broad end) as is_in_boundary
    from scoped
    join action_hit as hit using (statement_id)
    group by all
),
boundary as (
    -- A boundary whose document nobody saw limits nothing we know of.
    select distinct role_arn from judged where is_boundary
),
remaining as (
    select
        effect.*,
        is_allowed and not is_denied and (boundary.role_arn is null or is_in_boundary) as remains
    from effect
    left join boundary using (role_arn)
),
probe_count as (
    select count(*) as policy_writes from reference.probe_actions where class = 'policy_write'
),
decided as (
    select
        role_arn,
        count(*) filter (where class = 'policy_write' and is_allowed) = any_value(probe_count.policy_writes)
            and count(*) filter (where class = 'policy_write' and remains) > 0 as is_administrator,
        list_sort(list(action) filter (where class = 'data_read' and remains)) as data_reads
    from remaining
    cross join probe_count
    group by role_arn
),
whole_service as (
    select scoped.role_arn, lower(split_part(pattern, ':', 1)) as service
    from (select statement_id, unnest(actions) as pattern from judged) as named
    join scoped using (statement_id)
    where scoped.effect = 'Allow' and not scoped.is_boundary and scoped.is_unconditional and scoped.is_broad
        and regexp_full_match(lower(named.pattern), '[a-z0-9-]+:\*')
    except
    select scoped.role_arn, lower(split_part(pattern, ':', 1))
    from (select statement_id, unnest(actions) as pattern from judged) as named
    join scoped using (statement_id)
    where scoped.effect = 'Deny' and scoped.is_unconditional and scoped.is_everything
        and (regexp_full_match(lower(named.pattern), '[a-z0-9-]+:\*') or named.pattern = '*')
),
-- A boundary cannot be intersected with a whole service by probing; it must name the service, everything, or exceptions.
bounded_service as (
    select whole_service.role_arn, list_sort(list(whole_service.service)) as service_wildcards
    from whole_service
    left join boundary on boundary.role_arn = whole_service.role_arn
    where boundary.role_arn is null
        or exists (
            select 1
            from scoped
            where scoped.role_arn = whole_service.role_arn and scoped.is_boundary and scoped.effect = 'Allow' and scoped.is_broad
                and (scoped.not_actions is not null
                    or list_has_any(scoped.actions, ['*', '*:*', whole_service.service || ':*']))
        )
    group by whole_service.role_arn
),
unreadable as (
    select distinct role_arn
    from judged
    where actions is null and not_actions is null and resources is null and not_resources is null
),
granting as (
    select scoped.role_arn, list_sort(list(distinct scoped.policy_name)) as policies
    from scoped
    join action_hit as hit using (statement_id)
    where hit.class = 'policy_write' and scoped.effect = 'Allow' and not scoped.is_boundary and scoped.is_unconditional
        and scoped.is_everything
    group by scoped.role_arn
)
select
    role.role_arn,
    coalesce(decided.is_administrator, false) as is_administrator,
    coalesce(granting.policies, []) as administrative_policies,
    coalesce(bounded_service.service_wildcards, []) as service_wildcards,
    coalesce(decided.data_reads, []) as data_reads,
    unreadable.role_arn is null as is_readable
from snapshot.role as role
left join unreadable on unreadable.role_arn = role.role_arn
left join decided on decided.role_arn = role.role_arn
left join granting on granting.role_arn = role.role_arn
left join bounded_service on bounded_service.role_arn = role.role_arn
