-- One row per path of reference.permission_paths × action it needs.
--   passed_to          of iam:PassRole alone: the service the role is handed to
--   is_name_free       in paths that make the executor its name is the caller's to choose, so that the action counts wherever it is allowed
--   is_policy_write    writes or attaches an IAM policy: what administration consists of (docs/adr/0007)
select
    path.method, path.trait, path.named, path.grants_administration,
    lower(path.action) as action,
    path.action as action_name,
    case lower(path.action) when 'iam:passrole' then path.passed_to end as passed_to,
    path.trait = 'has_pass_role_create_executor_path' and lower(path.action) <> 'iam:passrole' as is_name_free,
    path.trait = 'has_direct_policy_escalation_path' and path.method <> 'AddUserToGroup' as is_policy_write
from (select *, unnest(string_split(actions, ' ')) as action from reference.permission_paths) as path
