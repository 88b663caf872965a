-- One row per distinct action pattern × probed action it covers: some thousand patterns, whatever the number of roles.
--   is_pinned   the pattern names the action's service (`s3:Get*`; `s3*`, which needs no colon), unlike one over all services
with pattern as (
    select
        pattern,
        case when regexp_matches(pattern, '^[a-z0-9-]+:') then split_part(pattern, ':', 1) end as service
    from (
        select distinct unnest(list_concat(coalesce(actions, []), coalesce(not_actions, []))) as pattern
        from resources.policy_statement
    )
),
action as (
    select distinct action, called, service from resources.probe
)
-- Patterns with a service meet that service's actions alone; the few without meet all.
select named.pattern, action.action, true as is_pinned
from pattern as named
join action on action.service = named.service
where action.called glob named.pattern
union all
select named.pattern, action.action, regexp_extract(named.pattern, '^([a-z0-9-]+)[*?]+$', 1) = action.service
from pattern as named
join action on action.called glob named.pattern
where named.service is null
