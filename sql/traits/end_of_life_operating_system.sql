-- One row per running image whose operating system gets no more security updates on the snapshot's day.
-- An image without any finding tells no platform: then nothing is known, and nothing is said.
with ended as (
    select distinct system.platform, known.system, known.ended_on
    from (select distinct platform from resources.service_image where platform is not null) as system
    join reference.end_of_life as known on regexp_full_match(system.platform, known.platform_pattern)
    cross join run.day as day
    where known.ended_on <= day.snapshot_date
)
select distinct
    image.resource_id, image.account_id, image.region,
    {
        'repository': image.repository_name, 'image_digest': image.image_digest,
        'platform': image.platform, 'operating_system': ended.system, 'ended_on': ended.ended_on
    } as evidence
from resources.service_image as image
join ended on ended.platform = image.platform
