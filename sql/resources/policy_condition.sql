-- One row per distinct condition of a policy statement: what is known of it without knowing the request.
--   holds         always: it says nothing for a task role (reference.condition_keys); the statement counts as unconditional
--                 chosen: the caller can make it true: an Allow counts as unconditional, a Deny takes nothing away
--                 passed_to: what is left depends on the service a role is handed to, and nothing else
--                 principal: what is left depends on which role asks, and nothing else
--                 unknown: the request decides, so an Allow proves nothing and a Deny takes nothing away
--   patterns      of the services, or of the roles' ARNs (lower case); is_excluded: all but those
--   is_true_without_key   so for requests that hand over no role: negated operators and the IfExists forms are true then
with condition as (
    -- What is no JSON after all (a lone surrogate, NaN) is NULL here, and unknown.
    select distinct condition, try_cast(condition as json) as document
    from resources.applied_statement
    where condition is not null
),
block as (
    select condition, document, unnest(case when json_type(document) = 'OBJECT' then json_keys(document) else [''] end) as operator
    from condition
),
keyed as (
    select
        condition, operator,
        json_extract(document, '/' || replace(replace(operator, '~', '~0'), '/', '~1')) as keys
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
        case json_type(value) when 'ARRAY' then from_json(value, '["JSON"]') else [value] end as items
    from valued
),
texts as (
    select
        * exclude (items, is_readable),
        -- A value that is no text, number or truth value cannot be compared with anything.
        is_readable and len(items) > 0
            and len(list_filter(items, lambda item: coalesce(json_type(item), 'NULL') in ('NULL', 'OBJECT', 'ARRAY'))) = 0 as is_readable,
        list_transform(items, lambda item: lower(trim(item::varchar, '"'))) as "values"
    from listed
),
judged as (
    select
        texts.condition,
        case
            when not is_readable then 'unknown'
            when bool_or(known.holds = 'always') then 'always'
            when bool_or(known.holds = 'chosen') then 'chosen'
            when texts.key = 'iam:passedtoservice' and texts.operator in ('stringequals', 'stringequalsignorecase', 'stringlike') then 'passed_to'
            when texts.key = 'iam:passedtoservice' and texts.operator in ('stringnotequals', 'stringnotequalsignorecase', 'stringnotlike')
                then 'not_passed_to'
            when texts.key = 'aws:principalarn' and texts.operator in ('stringequals', 'stringlike', 'arnequals', 'arnlike') then 'principal'
            when texts.key = 'aws:principalarn' and texts.operator in ('stringnotequals', 'stringnotlike', 'arnnotequals', 'arnnotlike')
                then 'not_principal'
            else 'unknown'
        end as holds,
        any_value(texts."values") as "values",
        texts.is_if_exists or texts.operator like '%not%' as is_true_without_key
    from texts
    left join reference.condition_keys as known
        on (known.operator = texts.operator or known.operator = '*')
        and (known.key = texts.key or known.key = '*')
        and list_contains(texts."values", known.value)
        and (known.needs_if_exists = 'no' or texts.is_if_exists)
    group by texts.condition, texts.key, texts.operator, texts.is_if_exists, texts.is_readable, texts."values"
),
folded as (
    select
        condition,
        list_sort(list(distinct holds)) as verdicts,
        list("values") filter (where holds not in ('always', 'chosen', 'unknown')) as patterns,
        bool_and(is_true_without_key) filter (where holds not in ('always', 'chosen', 'unknown')) as is_true_without_key
    from judged
    group by condition
)
select
    condition.condition,
    case
        -- A block without any key excludes nothing, when it is a block.
        when folded.condition is null then case when json_type(condition.document) = 'OBJECT' then 'always' else 'unknown' end
        when list_contains(verdicts, 'unknown') then 'unknown'
        when len(patterns) > 1 or len(patterns) = 1 and list_contains(verdicts, 'chosen') then 'unknown'
        when list_has_any(verdicts, ['passed_to', 'not_passed_to']) then 'passed_to'
        when list_has_any(verdicts, ['principal', 'not_principal']) then 'principal'
        when list_contains(verdicts, 'chosen') then 'chosen'
        else 'always'
    end as holds,
    list_transform(patterns[1], lambda pattern: replace(pattern, '[', '[[]')) as patterns,
    coalesce(list_has_any(verdicts, ['not_passed_to', 'not_principal']), false) as is_excluded,
    coalesce(folded.is_true_without_key, false) as is_true_without_key
from condition
left join folded using (condition)
