-- As a view, one row per published exposure × single removal: what its severity and score would be once done, and how to do it. Rank 1
-- lowers the score most.
select
    exposure.resource_id, exposure.account_id, exposure.region, removal.removed_kind, removal.removed,
    removal.description, removal.packages, removal.fixed_in_versions, removal.fix_commands,
    exposure.severity as severity_before, ranked.severity_after,
    exposure.score as score_before, ranked.score_after,
    ranked.rank
from exposures.fix_rank as ranked
join exposures.exposure as exposure using (resource_id)
join exposures.removal as removal using (removal_number)
