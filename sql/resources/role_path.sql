-- One row per role × path it can take, on everything of the kinds involved (targets is NULL) or on named resources that matter (targets).
--   grants_administration   by itself: whoever takes the path is administrator after (docs/adr/0007)
with recursive named as (
    select * from resources.role_named_action where named <> 'trusts'
),
-- Roles that are or become administrator, and those that can assume them, one after another. A circle ends where it began.
reach(role_arn) as (
    select role_arn from resources.role_administration where becomes_administrator
    union
    select hop.role_arn
    from reach
    join resources.role_named_action as hop on hop.named = 'trusts' and hop.target_arn = reach.role_arn
),
allowed as (
    -- One action of the path on a named resource, the others as on everything.
    select
        principal.role_arn, path.method, path.trait, path.action, named.target_arn
    from resources.path_action as path
    join named on named.action = path.action
    join resources.role_principal as principal on principal.role_arn = named.role_arn
    where path.named = named.named
    union all
    select principal.role_arn, path.method, path.trait, path.action, null
    from resources.path_action as path
    join resources.principal_action as hit
        on hit.action = path.action
        and case when path.is_name_free then hit.remains_somewhere else hit.remains end
    join resources.role_principal as principal on principal.principal_id = hit.principal_id
    where path.named is not null and principal.role_arn in (select role_arn from named)
),
on_named as (
    select role_arn, method, trait, list_sort(list(distinct target_arn) filter (where target_arn is not null)) as targets
    from allowed
    group by role_arn, method, trait
    having count(*) filter (where target_arn is not null) > 0
        and count(distinct action) = (select count(*) from resources.path_action as needed where needed.method = allowed.method)
),
chained as (
    select hop.role_arn, list_sort(list(distinct hop.target_arn)) as targets
    from resources.role_named_action as hop
    semi join reach on reach.role_arn = hop.target_arn
    where hop.named = 'trusts'
    group by hop.role_arn
),
on_everything as (
    select principal.role_arn, path.method, path.trait, path.grants_administration
    from resources.role_principal as principal
    join resources.principal_path as path using (principal_id)
)
select
    role_arn, method, trait,
    everything.grants_administration is not null as is_on_everything,
    -- On everything, naming some of it says nothing, except which role leads on.
    coalesce(chained.targets, case when everything.grants_administration is null then on_named.targets end) as targets,
    coalesce(everything.grants_administration, false)
        or chained.targets is not null
        or (on_named.targets is not null and path.grants_administration = 'yes') as grants_administration
from on_everything as everything
full join on_named using (role_arn, method, trait)
full join (select role_arn, 'AssumeAnyRole' as method, 'has_role_chain_escalation_path' as trait, targets from chained) as chained
    using (role_arn, method, trait)
join reference.permission_paths as path using (method)
