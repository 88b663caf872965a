-- One row per inbound rule that, alone or with its siblings on the same ports, admits at least half of the internet
-- (0.0.0.0/0, ::/0, 0.0.0.0/1 + 128.0.0.0/1, 2000::/3 …). A single public range is not open.
-- Managed prefix lists are not expanded: a rule that names one is not judged here.
with fraction as (
    select
        account_id, region, group_id, lower(protocol) as protocol, from_port, to_port, cidr,
        position(':' in cidr) > 0 as is_ipv6,
        case
            when position(':' in cidr) = 0 then pow(2.0, -try_cast(split_part(cidr, '/', 2) as integer))
            -- The internet of IPv6 is 2000::/3; `::/2` and shorter hold all of it.
            when regexp_matches(lower(cidr), '^(0|::|0:)') and try_cast(split_part(cidr, '/', 2) as integer) <= 2 then 1.0
            when regexp_matches(lower(cidr), '^[23][0-9a-f]{3}:') and try_cast(split_part(cidr, '/', 2) as integer) >= 3
                then pow(2.0, 3 - try_cast(split_part(cidr, '/', 2) as integer))
            else 0.0
        end as share
    from snapshot.security_group_rule
    where not is_egress and cidr is not null
),
summed as (
    select *, sum(share) over (partition by account_id, region, group_id, protocol, from_port, to_port, is_ipv6) as total_share
    from fraction
)
select
    group_id, protocol,
    coalesce(from_port, 0) as from_port,
    coalesce(to_port, 65535) as to_port,
    cidr, is_ipv6,
    protocol in ('-1', 'tcp', 'udp', '6', '17') as carries_payload
from summed
where total_share >= 0.5 and share >= 1.0 / 256
