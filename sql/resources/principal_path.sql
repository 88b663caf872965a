-- One row per principal × path that its policies allow on everything of the kinds involved.
--   grants_administration   by itself: whoever takes it is administrator after
select
    hit.principal_id, path.method, path.trait, bool_and(path.grants_administration = 'yes') as grants_administration
from resources.path_action as path
join resources.principal_action as hit
    on hit.action = path.action
    and case when path.is_name_free then hit.remains_somewhere else hit.remains end
group by hit.principal_id, path.method, path.trait
having count(*) = (select count(*) from resources.path_action as needed where needed.method = path.method)
