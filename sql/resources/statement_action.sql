-- One row per distinct statement × probed action it covers.
--   is_everything     on everything of the action's kind
--   is_certain        whatever the request: no condition, or one that holds or is decided by the service a role is handed to (one that
--                     depends on the role: resources.role_statement)
--   is_possible       for some request: what a boundary or a level of the organisation lets through
--   is_pinned         by a pattern that names the action's service, not by a wildcard over all services
with covering as (
    select named.statement_id, matched.action, bool_or(matched.is_pinned) as is_pinned
    from (select statement_id, unnest(actions) as pattern from resources.policy_statement) as named
    join resources.action_pattern as matched using (pattern)
    group by named.statement_id, matched.action
    union all
    select statement.statement_id, probe.action, false
    from resources.policy_statement as statement
    cross join (select distinct action from resources.probe) as probe
    anti join (
        select named.statement_id, matched.action
        from (select statement_id, unnest(not_actions) as pattern from resources.policy_statement) as named
        join resources.action_pattern as matched using (pattern)
    ) as excepted on excepted.statement_id = statement.statement_id and excepted.action = probe.action
    where statement.not_actions is not null
),
-- What the covered actions are about, against the statement's resource patterns: only what is asked, since `*` covers all there is.
asked as materialized (
    select covering.statement_id, covering.action, probe.resource
    from covering
    join resources.probe as probe on probe.action = covering.action
),
everything as (
    select distinct asked.statement_id, asked.action
    from (
        select asked.*, named.pattern
        from asked
        join (select statement_id, unnest(resources) as pattern from resources.policy_statement) as named using (statement_id)
    ) as asked
    semi join resources.resource_pattern as matched on matched.pattern = asked.pattern and matched.resource = asked.resource
    union
    select asked.statement_id, asked.action
    from asked
    join resources.policy_statement as statement on statement.statement_id = asked.statement_id and statement.not_resources is not null
    anti join (
        select named.statement_id, matched.resource
        from (select statement_id, unnest(not_resources) as pattern from resources.policy_statement) as named
        join resources.resource_pattern as matched using (pattern)
    ) as excepted on excepted.statement_id = asked.statement_id and excepted.resource = asked.resource
),
action as (
    select distinct kind, action, called, passed_to from resources.probe
),
-- What iam:PassedToService decides: by the service handed to, or by there being none.
decided as (
    select
        statement.statement_id, action.action,
        case when action.passed_to is null then statement.is_true_without_key
            else (len(list_filter(statement.patterns, lambda pattern: action.passed_to glob pattern)) > 0) <> statement.is_excluded end as holds
    from resources.policy_statement as statement
    join covering on covering.statement_id = statement.statement_id
    join action on action.action = covering.action
    where statement.holds = 'passed_to'
)
select
    covering.statement_id, action.kind, covering.action, action.called, action.passed_to,
    statement.effect, covering.is_pinned,
    everything.statement_id is not null as is_everything,
    case statement.holds
        when 'always' then true
        when 'chosen' then statement.effect = 'Allow'
        when 'passed_to' then decided.holds
        else false
    end as is_certain,
    coalesce(decided.holds, true) as is_possible
from covering
join action on action.action = covering.action
join resources.policy_statement as statement on statement.statement_id = covering.statement_id
left join everything on everything.statement_id = covering.statement_id and everything.action = covering.action
left join decided on decided.statement_id = covering.statement_id and decided.action = covering.action
