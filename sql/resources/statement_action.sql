-- One row per distinct statement × probed action it covers.
--   is_everything     on everything of the action's kind
--   is_certain        whatever the request: no condition, or one that holds or is decided by the service a role is handed to
--   is_pinned         by a pattern that names the action's service, not by a wildcard over all services
with action as (
    select distinct kind, action, passed_to, service from resources.probe
),
named_pattern as (
    select distinct unnest(list_concat(coalesce(actions, []), coalesce(not_actions, []))) as pattern
    from resources.policy_statement
),
pattern as (
    select
        pattern,
        case when regexp_matches(pattern, '^[a-z0-9-]+:') then split_part(pattern, ':', 1) end as service
    from named_pattern
),
-- Patterns with a service meet that service's actions alone; those few without meet all.
matched as (
    select pattern.pattern, action.action, action.passed_to, action.kind, pattern.service is not null as is_pinned
    from pattern
    join action on action.service = pattern.service and action.action glob pattern.pattern
    union all
    select pattern.pattern, action.action, action.passed_to, action.kind,
        -- `s3*` names its service without a colon.
        regexp_extract(pattern.pattern, '^([a-z0-9-]+)[*?]+$', 1) = action.service
    from pattern
    join action on action.action glob pattern.pattern
    where pattern.service is null
),
covering as (
    select named.statement_id, matched.action, matched.passed_to, matched.kind, bool_or(matched.is_pinned) as is_pinned
    from (select statement_id, unnest(actions) as pattern from resources.policy_statement) as named
    join matched on matched.pattern = named.pattern
    group by all
    union all
    select statement.statement_id, action.action, action.passed_to, action.kind, false
    from resources.policy_statement as statement
    cross join action
    where statement.not_actions is not null
        and not exists (
            select 1
            from (select statement_id, unnest(not_actions) as pattern from resources.policy_statement where not_actions is not null) as named
            join matched on matched.pattern = named.pattern
            where named.statement_id = statement.statement_id
                and matched.action = action.action and matched.passed_to is not distinct from action.passed_to
        )
),
resource_pattern as (
    select distinct unnest(list_concat(coalesce(resources, []), coalesce(not_resources, []))) as pattern
    from resources.policy_statement
),
-- A pattern that names a service in its ARN meets that service's resources alone.
resource as (
    select distinct resource, nullif(split_part(resource, ':', 3), '') as service from resources.probe
),
prepared_resource as (
    select pattern,
        case when regexp_matches(pattern, '^arn:aws:[a-z0-9-]+:') then split_part(pattern, ':', 3) end as service
    from resource_pattern
),
resource_match as (
    select prepared.pattern, resource.resource
    from prepared_resource as prepared
    join resource on resource.service = prepared.service and resource.resource glob prepared.pattern
    union all
    select prepared.pattern, resource.resource
    from prepared_resource as prepared
    join resource on resource.resource glob prepared.pattern
    where prepared.service is null
),
-- What a statement's resources cover, of the resources its actions are about.
asked as (
    select distinct covering.statement_id, probe.resource
    from covering
    join resources.probe as probe
        on probe.action = covering.action and probe.passed_to is not distinct from covering.passed_to
),
covered as (
    select asked.statement_id, asked.resource
    from asked
    join (select statement_id, unnest(resources) as pattern from resources.policy_statement) as named using (statement_id)
    join resource_match as matched on matched.pattern = named.pattern and matched.resource = asked.resource
    union
    select asked.statement_id, asked.resource
    from asked
    join resources.policy_statement as statement using (statement_id)
    where statement.not_resources is not null
        and not exists (
            select 1
            from resource_match as matched
            where matched.resource = asked.resource and list_contains(statement.not_resources, matched.pattern)
        )
),
everything as (
    select distinct covered.statement_id, probe.action, probe.passed_to
    from covered
    join resources.probe as probe on probe.resource = covered.resource
)
select
    covering.statement_id,
    covering.action,
    covering.passed_to,
    covering.kind,
    statement.effect,
    covering.is_pinned,
    everything.statement_id is not null as is_everything,
    case statement.holds
        when 'always' then true
        when 'chosen' then statement.effect = 'Allow'
        when 'passed_to' then covering.passed_to is not null
            and (len(list_filter(statement.passed_to, lambda service: covering.passed_to glob service)) > 0) <> statement.is_passed_to_excluded
        else false
    end as is_certain
from covering
join resources.policy_statement as statement using (statement_id)
left join everything
    on everything.statement_id = covering.statement_id and everything.action = covering.action
    and everything.passed_to is not distinct from covering.passed_to
