-- One row per service that the internet reaches: the shortest of its open paths, hop by hop, in words (exposures.path has them apart).
select
    resource_id, account_id, region,
    {
        'reachability': kind,
        'hops': list_transform(hops, lambda item: concat_ws(' ', item.hop, item.id, '(' || item.detail || ')'))
    } as evidence
from resources.internet_path
where len(unseen) = 0
qualify row_number() over (partition by resource_id order by len(hops), kind, to_json(hops)::varchar) = 1
