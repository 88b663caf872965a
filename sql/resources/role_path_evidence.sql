-- One row per role below administration × trait its paths make: what an engineer needs to see to believe it and to take it away.
-- (An administrator can take every path; its trait says so once.)
--   methods      `method (actions)` of each path (reference.permission_paths), and ` on …` where it is on named resources
--   statements   the Allow statements that make them: `policy: Sid`, or `policy: statement N`, counted from 0
with path as (
    select role_path.*
    from resources.role_path as role_path
    join resources.role_administration as administration using (role_arn)
    where not administration.is_administrator
),
method as (
    select
        path.role_arn, path.trait, bool_or(path.grants_administration) as grants_administration,
        list_sort(list(
            path.method || ' (' || replace(known.actions, ' ', ' + ') || ')'
                || coalesce(' on ' || array_to_string(path.targets[1:5], ', '), '')
        )) as methods
    from path
    join reference.permission_paths as known using (method)
    group by path.role_arn, path.trait
),
needed as (
    select distinct
        path.role_arn, path.trait, action.action,
        action.is_name_free or not path.is_on_everything as is_anywhere
    from path
    join resources.path_action as action using (method)
),
statement as (
    select
        needed.role_arn, needed.trait,
        list_sort(list(distinct spoken.policy_name || ': ' || spoken.statement)) as statements
    from needed
    join resources.role_statement as spoken on spoken.role_arn = needed.role_arn
    join resources.statement_action as hit
        on hit.statement_id = spoken.statement_id and hit.action = needed.action
    where spoken.part <> 'boundary' and hit.effect = 'Allow' and (hit.is_certain or spoken.is_held) and (hit.is_everything or needed.is_anywhere)
    group by needed.role_arn, needed.trait
)
select method.*, statement.statements
from method
join statement using (role_arn, trait)
