-- One row per policy statement and its holder (a role, or a service control policy), in the one form all decisions read: lists sorted and
-- without repetition, Allow-like resource patterns without Regions, the role's own account as {account-id} (twelve characters, as `?` counts
-- them), and an id that is equal wherever the content is. Patterns are ready for GLOB, which reads `*` and `?` as IAM does.
--   holder_kind   role or control        part    inline, attached, boundary or control
with stated as (
    select
        'role' as holder_kind, role_arn as holder, account_id, policy_kind as part, policy_name, statement_index, sid,
        effect, actions, not_actions, resources, not_resources, condition
    from snapshot.role_statement
    union all
    -- AWS's own policies by name, where their document was not collected.
    select
        'role', role.role_arn, role.account_id, 'attached', role.arn, 0, null,
        'Allow', case when role.arn like '%/IAMFullAccess' then ['iam:*'] else ['*'] end, null, ['*'], null, null
    from (select role_arn, account_id, unnest(attached_policy_arns) as arn from snapshot.role) as role
    where regexp_matches(role.arn, '^arn:[a-z-]+:iam::aws:policy/(AdministratorAccess|IAMFullAccess)$')
        and not exists (
            select 1 from snapshot.role_statement as known
            where known.role_arn = role.role_arn and known.policy_name = role.arn
                and (known.actions is not null or known.not_actions is not null)
        )
    union all
    select
        'control', policy_id, 'none', 'control', policy_name, statement_index, sid,
        effect, actions, not_actions, resources, not_resources, condition
    from snapshot.service_control_statement
),
prepared as (
    select
        * replace (
            list_transform(actions, lambda item: replace(lower(item), '[', '[[]')) as actions,
            list_transform(not_actions, lambda item: replace(lower(item), '[', '[[]')) as not_actions,
            list_transform(resources, lambda item: regexp_replace(
                replace(replace(replace(item, '[', '[[]'), '${aws:PrincipalAccount}', '{account-id}'), ':' || account_id || ':', ':{account-id}:'),
                '^arn:aws(-[a-z]+)*:', 'arn:aws:')) as resources,
            list_transform(not_resources, lambda item: regexp_replace(
                replace(replace(replace(item, '[', '[[]'), '${aws:PrincipalAccount}', '{account-id}'), ':' || account_id || ':', ':{account-id}:'),
                '^arn:aws(-[a-z]+)*:', 'arn:aws:')) as not_resources,
            case when condition in ('', '{}') then null else replace(condition, '"' || account_id || '"', '"{account-id}"') end as condition
        )
    from stated
),
-- What is granted in one Region is all there is of a kind in that Region; what is denied there is still allowed elsewhere.
widened as (
    select
        * replace (
            case when effect = 'Allow'
                then list_transform(resources, lambda item: regexp_replace(item, '^(arn:[^:]*:[^:]*:)[a-z]{2}(-[a-z]+)+-[0-9]+:', '\1*:'))
                else resources end as resources,
            case when effect = 'Deny'
                then list_transform(not_resources, lambda item: regexp_replace(item, '^(arn:[^:]*:[^:]*:)[a-z]{2}(-[a-z]+)+-[0-9]+:', '\1*:'))
                else not_resources end as not_resources
        )
    from prepared
),
normal as (
    select
        * replace (
            list_sort(list_distinct(actions)) as actions,
            list_sort(list_distinct(not_actions)) as not_actions,
            list_sort(list_distinct(resources)) as resources,
            list_sort(list_distinct(not_resources)) as not_resources
        )
    from widened
)
select *, md5(concat_ws('|', effect, actions::varchar, 'not', not_actions::varchar, 'on', resources::varchar, 'not', not_resources::varchar, condition))
    as statement_id
from normal
