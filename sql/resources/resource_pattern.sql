-- One row per distinct resource pattern × probed resource it covers: everything of a kind.
with pattern as (
    select
        pattern,
        case when regexp_matches(pattern, '^arn:aws:[a-z0-9-]+:') then split_part(pattern, ':', 3) end as service
    from (
        select distinct unnest(list_concat(coalesce(resources, []), coalesce(not_resources, []))) as pattern
        from resources.policy_statement
    )
    -- A pattern without a wildcard is the name of one thing.
    where regexp_matches(pattern, '[*?]')
),
resource as (
    select distinct resource, split_part(resource, ':', 3) as service from resources.probe
)
select named.pattern, resource.resource
from pattern as named
join resource on resource.service = named.service
where resource.resource glob named.pattern
union all
select named.pattern, resource.resource
from pattern as named
join resource on resource.resource glob named.pattern
where named.service is null
