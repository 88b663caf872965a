-- One row per question put to every statement: does it cover this action, on everything of its kind? Names nobody has given stand for "any".
--   kind      path      an action of resources.path_action
--             iam       an IAM action that is none: what covers it covers IAM whole
--             service   likewise for every service that a policy names; for the service `~any~`, what covers all services
-- An action may stand on several resources: covering one of them is covering its kind.
with path_action as (
    select distinct action, called, passed_to from resources.path_action
),
service as (
    select distinct split_part(pattern, ':', 1) as service
    from (
        select unnest(list_concat(coalesce(actions, []), coalesce(not_actions, []))) as pattern
        from resources.policy_statement
    )
    where regexp_matches(pattern, '^[a-z0-9-]+:')
    union
    select distinct split_part(called, ':', 1) from path_action
    union
    select '~any~'
)
select
    'path' as kind, path_action.action, path_action.called, path_action.passed_to, split_part(path_action.called, ':', 1) as service,
    replace(replace(replace(named.resource, '{any}', '~any~'), '{region}', '~any~'), '{everything}', '~any~') as resource
from path_action
join reference.action_resources as named on lower(named.action) = path_action.called
union all
select 'iam', 'iam:~any~', 'iam:~any~', null, 'iam', 'arn:aws:iam::{account-id}:~any~/~any~'
union all
select 'service', service || ':~any~', service || ':~any~', null, service, unnest([
    'arn:aws:' || service || ':~any~:{account-id}:~any~/~any~',
    'arn:aws:' || service || '::{account-id}:~any~/~any~',
    'arn:aws:' || service || ':::~any~/~any~'
])
from service
where service <> 'iam'
