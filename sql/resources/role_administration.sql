-- One row per role: is it administrator by its policies alone, and can it become so by a path on everything?
-- Granted is all of IAM, by wildcard or exception, or every action that writes an IAM policy; administration stays as long as one of those
-- remains: a token Deny or an all-but-one boundary changes nothing (docs/adr/0007).
with decided as (
    select
        hit.principal_id,
        coalesce(bool_or(hit.kind = 'iam' and hit.is_allowed), false)
            or count(*) filter (where policy_write.action is not null and hit.is_allowed)
                = (select count(distinct action) from resources.path_action where is_policy_write) as is_granted,
        coalesce(bool_or(policy_write.action is not null and hit.remains), false) as is_left
    from resources.principal_action as hit
    left join (select distinct action from resources.path_action where is_policy_write) as policy_write using (action)
    group by hit.principal_id
),
escalating as (
    select distinct principal_id from resources.principal_path where grants_administration
)
select
    principal.role_arn, principal.principal_id, principal.account_id,
    coalesce(decided.is_granted and decided.is_left, false) as is_administrator,
    coalesce(decided.is_granted and decided.is_left, false) or escalating.principal_id is not null as becomes_administrator
from resources.role_principal as principal
left join decided using (principal_id)
left join escalating using (principal_id)
