-- One row per IAM role: what its policies allow after Deny statements, its permissions boundary and service control policies.
--   is_administrator           see role_administration; administrative_policies and _statements are those that grant it
--   is_effective_administrator administrator, or a path that makes administrator by itself (resources.role_path)
--   service_wildcards          services granted whole on all resources; `*` stands for every service the policies do not leave out
--   conditional_policies       policies that would allow administration if a condition held: what no one can tell without the request
--   service_control_policies   whether they were taken into account, in words
--   is_readable                no document was malformed: else more may be allowed than is shown, and under an unreadable boundary nothing is known to be
with policy_write as (
    select distinct action from resources.path_action where is_policy_write
),
granting as (
    select
        spoken.role_arn, hit.is_certain or spoken.is_held as is_certain, hit.kind, split_part(hit.action, ':', 1) as service, hit.action, hit.is_pinned,
        spoken.policy_name as policy, spoken.statement
    from resources.role_statement as spoken
    join resources.statement_action as hit on hit.statement_id = spoken.statement_id
    where spoken.part <> 'boundary' and hit.effect = 'Allow' and hit.is_everything
        and (hit.kind in ('iam', 'service') or hit.action in (from policy_write))
),
administrative as (
    select
        role_arn,
        list_sort(list(distinct policy) filter (where is_certain)) as policies,
        list_sort(list(distinct policy || ': ' || statement) filter (where is_certain)) as statements,
        list_sort(list(distinct policy) filter (where not is_certain)) as conditional_policies
    from granting
    where kind <> 'service'
    group by role_arn
),
-- All services are told once, and not of an administrator, whose trait says it.
service as (
    select
        principal.role_arn, split_part(hit.action, ':', 1) as service,
        case when hit.action = '~any~:~any~' then '*' else split_part(hit.action, ':', 1) end as name
    from resources.role_administration as principal
    join resources.principal_action as hit on hit.principal_id = principal.principal_id
    where hit.kind in ('service', 'iam') and hit.remains
        and (hit.is_pinned or hit.action = '~any~:~any~' and not principal.is_administrator)
),
whole as (
    select
        service.role_arn, list_sort(list(distinct service.name)) as services,
        list_sort(list(distinct granting.policy || ': ' || granting.statement)) as statements
    from service
    join granting on granting.role_arn = service.role_arn and granting.service = service.service and granting.is_certain
        and granting.kind in ('service', 'iam') and (granting.is_pinned or service.name = '*')
    group by service.role_arn
),
escalating as (
    select role_arn, bool_or(grants_administration) as grants_administration
    from resources.role_path
    group by role_arn
)
select
    administration.role_arn,
    administration.is_administrator,
    administration.is_administrator or coalesce(escalating.grants_administration, false) as is_effective_administrator,
    case when administration.is_administrator then coalesce(administrative.policies, []) else [] end as administrative_policies,
    case when administration.is_administrator then coalesce(administrative.statements, []) else [] end as administrative_statements,
    case when administration.is_administrator then [] else coalesce(administrative.conditional_policies, []) end as conditional_policies,
    coalesce(whole.services, []) as service_wildcards,
    coalesce(whole.statements, []) as service_statements,
    case principal.control_sight
        when 'applied' then 'taken into account'
        when 'not_binding' then 'never bind the management account'
        when 'not_enabled' then 'not in use in the organisation'
        else 'not seen: this is before service control policies'
    end as service_control_policies,
    principal.is_readable
from resources.role_administration as administration
join resources.role_principal as principal on principal.role_arn = administration.role_arn
left join administrative on administrative.role_arn = administration.role_arn
left join whole on whole.role_arn = administration.role_arn
left join escalating on escalating.role_arn = administration.role_arn
