-- One row per distinct condition of a policy statement: what is known of it without knowing the request.
--   holds         always: it says nothing for a task role (reference.condition_keys); the statement counts as unconditional
--                 chosen: the caller can make it true: an Allow counts as unconditional, a Deny takes nothing away
--                 passed_to: what is left depends on the service a role is handed to, and nothing else
--                 unknown: the request decides, so an Allow proves nothing and a Deny takes nothing away
--   passed_to     patterns of the services of iam:PassedToService; is_passed_to_excluded turns the list around
with condition as (
    select distinct condition
    from resources.applied_statement
    where condition is not null
),
block as (
    select
        condition,
        json_type(condition::json) = 'OBJECT' as is_object,
        unnest(case when json_type(condition::json) = 'OBJECT' then json_keys(condition::json) else [''] end) as operator
    from condition
),
keyed as (
    select
        condition, is_object, operator,
        json_extract(condition::json, '/' || replace(replace(operator, '~', '~0'), '/', '~1')) as keys
    from block
),
entry as (
    select
        condition,
        lower(operator) as operator,
        coalesce(json_type(keys) = 'OBJECT', false) as is_readable,
        unnest(case when json_type(keys) = 'OBJECT' then json_keys(keys) else [''] end) as key,
        keys
    from keyed
),
valued as (
    select
        condition, is_readable, lower(key) as key,
        regexp_replace(operator, 'ifexists$', '') as operator,
        operator like '%ifexists' as is_if_exists,
        json_extract(keys, '/' || replace(replace(key, '~', '~0'), '/', '~1')) as value
    from entry
),
listed as (
    select
        condition, is_readable, key, operator, is_if_exists,
        list_transform(
            case json_type(value) when 'ARRAY' then from_json(value, '["JSON"]') else [value] end,
            lambda item: lower(trim(item::varchar, '"'))
        ) as "values"
    from valued
),
judged as (
    select
        listed.condition,
        case
            when not is_readable then 'unknown'
            when bool_or(known.holds = 'always') then 'always'
            when bool_or(known.holds = 'chosen') then 'chosen'
            when listed.key = 'iam:passedtoservice' and listed.operator in ('stringequals', 'stringequalsignorecase', 'stringlike') then 'passed_to'
            when listed.key = 'iam:passedtoservice' and listed.operator in ('stringnotequals', 'stringnotequalsignorecase', 'stringnotlike')
                then 'not_passed_to'
            else 'unknown'
        end as holds,
        any_value(listed."values") as "values"
    from listed
    left join reference.condition_keys as known
        on (known.operator = listed.operator or known.operator = '*')
        and (known.key = listed.key or known.key = '*')
        and list_contains(listed."values", known.value)
        and (known.needs_if_exists = 'no' or listed.is_if_exists)
    group by listed.condition, listed.key, listed.operator, listed.is_if_exists, listed.is_readable, listed."values"
),
folded as (
    select
        condition,
        list_sort(list(distinct holds)) as verdicts,
        list("values") filter (where holds in ('passed_to', 'not_passed_to')) as services
    from judged
    group by condition
)
select
    condition.condition,
    case
        -- A block without any key excludes nothing, when it is a block.
        when folded.condition is null then case when json_type(condition.condition::json) = 'OBJECT' then 'always' else 'unknown' end
        when list_contains(verdicts, 'unknown') then 'unknown'
        when list_has_any(verdicts, ['passed_to', 'not_passed_to']) then
            case when len(services) = 1 and not list_contains(verdicts, 'chosen') then 'passed_to' else 'unknown' end
        when list_contains(verdicts, 'chosen') then 'chosen'
        else 'always'
    end as holds,
    services[1] as passed_to,
    coalesce(list_contains(verdicts, 'not_passed_to'), false) as is_passed_to_excluded
from condition
left join folded using (condition)
