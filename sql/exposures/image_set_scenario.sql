-- One row per image set × removal: what vulnerabilities are left.
select
    removal.image_set_id, removal.removed_kind, removal.removed,
    coalesce(sum(fold.vulnerability_count), 0)::bigint as vulnerability_count,
    coalesce(sum(fold.vulnerability_count) filter (where fold.high_priority), 0)::bigint as high_priority_vulnerability_count,
    max(fold.level_exposed) as level_exposed,
    max(fold.level_not_exposed) as level_not_exposed,
    max(fold.availability_level_exposed) as availability_level_exposed,
    max(fold.availability_level_not_exposed) as availability_level_not_exposed,
    max(fold.highest_probability) as highest_probability,
    coalesce(sum(fold.likely_count), 0)::bigint as likely_count,
    case
        when bool_or(fold.is_certain) then 1.0
        when sum(fold.network_count) > 0 then round(1 - exp(sum(fold.log_survival)::double / 1e15), 6)
    end as exploit_probability,
    coalesce(bool_or(fold.lacks_epss), false) as lacks_epss,
    coalesce(bool_or(fold.lacks_vector), false) as lacks_vector
from exposures.image_set_removal as removal
left join exposures.vulnerability_fold as fold
    on fold.image_set_id = removal.image_set_id
    and fold.high_priority is distinct from removal.removed_priority
    and not list_has_all(removal.removed_places, fold.places)
group by removal.image_set_id, removal.removed_kind, removal.removed
