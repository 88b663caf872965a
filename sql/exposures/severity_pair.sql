-- One row per likelihood × impact × cap × dormant or not: the severity. The only place where it is decided.
-- A dormant service (nothing running, nothing desired) is at most MEDIUM; own traits alone are at most their cap.
with pair as (
    select
        matrix.likelihood, likelihood.level as likelihood_level, matrix.impact, cap.severity_cap, dormant.is_dormant,
        least(
            severity.level,
            coalesce(limit_.level, 99),
            case when dormant.is_dormant then (select level from reference.severity where severity = 'MEDIUM') else 99 end
        ) as severity_level
    from reference.severity_matrix as matrix
    join reference.likelihood as likelihood using (likelihood)
    join reference.severity as severity using (severity)
    cross join (
        select distinct coalesce(severity_cap, '') as severity_cap from reference.configuration_likelihood union select ''
    ) as cap
    left join reference.severity as limit_ on limit_.severity = cap.severity_cap
    cross join (select unnest([false, true]) as is_dormant) as dormant
)
select pair.*, severity.severity, severity.score_from, severity.score_to
from pair
join reference.severity as severity on severity.level = pair.severity_level
