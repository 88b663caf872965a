-- One row per path of reference.permission_paths × action it needs.
--   action             lower case; iam:PassRole together with the service the role is handed to (`iam:passrole to ec2.amazonaws.com`),
--                      because a condition on iam:PassedToService decides it service by service
--   called             the action that is called, lower case
--   is_name_free       in paths that make the executor its name is the caller's to choose, so that the action counts wherever it is allowed
--   is_policy_write    writes or attaches an IAM policy: what administration consists of (docs/adr/0007)
with path as (
    select method, trait, named, passed_to, grants_administration, lower(unnest(string_split(actions, ' '))) as called
    from reference.permission_paths
)
select
    method, trait, named, grants_administration, called,
    called || case when called = 'iam:passrole' then ' to ' || passed_to else '' end as action,
    case when called = 'iam:passrole' then passed_to end as passed_to,
    trait = 'has_pass_role_create_executor_path' and called <> 'iam:passrole' as is_name_free,
    trait = 'has_direct_policy_escalation_path' and method <> 'AddUserToGroup' as is_policy_write
from path
