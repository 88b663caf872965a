-- One row per inbound rule that, alone or with others of its group that admit the same ports, lets in at least half of the
-- internet (0.0.0.0/0, ::/0, 0.0.0.0/1 + 128.0.0.0/1, 2000::/3, a prefix list of such …). A single public range is not open.
-- Ports are those for which that holds: the rule's own, or where only several together reach half, the ports they share.
with wide as (
    select * from resources.group_rule where share >= 1.0 / 4096
),
range as (
    select distinct
        one.group_id, one.is_ipv6, one.protocol,
        greatest(one.from_port, other.from_port) as from_port, least(one.to_port, other.to_port) as to_port
    from wide as one
    join wide as other
        on other.group_id = one.group_id and other.is_ipv6 = one.is_ipv6 and other.protocol in (one.protocol, '-1')
        and other.from_port <= one.to_port and other.to_port >= one.from_port
),
admitting as (
    select
        range.*, wide.cidr, wide.prefix_list_id, wide.share, wide.whole, wide.public_first, wide.public_last, wide.is_unroutable, wide.label,
        wide.protocol = range.protocol and wide.from_port = range.from_port and wide.to_port = range.to_port as is_own
    from range
    join wide
        on wide.group_id = range.group_id and wide.is_ipv6 = range.is_ipv6 and wide.protocol in (range.protocol, '-1')
        and wide.from_port <= range.from_port and wide.to_port >= range.to_port
),
-- What each range adds to those before it: the sum is the union's size, whatever overlaps.
added as (
    select
        *,
        greatest(0, public_last - greatest(public_first, 1 + coalesce(max(public_last) over (
            partition by group_id, is_ipv6, protocol, from_port, to_port order by public_first, public_last desc, cidr, label
            rows between unbounded preceding and 1 preceding), -1)) + 1) / whole as adds,
        greatest(0, public_last - greatest(public_first, 1 + coalesce(max(public_last) over (
            partition by group_id, is_ipv6, protocol, from_port, to_port, is_own order by public_first, public_last desc, cidr, label
            rows between unbounded preceding and 1 preceding), -1)) + 1) / whole as adds_to_own
    from admitting
),
open as (
    select
        group_id, is_ipv6, protocol, from_port, to_port,
        coalesce(sum(adds_to_own) filter (where is_own), 0) >= 0.5 as is_by_own,
        max(share) filter (where not is_unroutable) as widest
    from added
    group by group_id, is_ipv6, protocol, from_port, to_port
    having sum(adds) >= 0.5
)
select distinct
    open.group_id, open.protocol, open.from_port, open.to_port, added.cidr, added.prefix_list_id, open.is_ipv6,
    open.protocol in ('-1', 'tcp', 'udp') as carries_payload,
    added.label
from open
join added
    on added.group_id = open.group_id and added.is_ipv6 = open.is_ipv6 and added.protocol = open.protocol
    and added.from_port = open.from_port and added.to_port = open.to_port
-- Small ranges beside wide ones are not what is wrong; where all are small, the widest of them stand for all.
where added.share >= least(1.0 / 256, open.widest) and not added.is_unroutable
    and case
        when open.is_by_own then added.is_own
        -- Ports that a wider open range holds anyway are not told twice.
        else not exists (
            select 1 from open as wider
            where wider.group_id = open.group_id and wider.is_ipv6 = open.is_ipv6 and wider.protocol in (open.protocol, '-1')
                and wider.from_port <= open.from_port and wider.to_port >= open.to_port
                and (wider.protocol, wider.from_port, wider.to_port) <> (open.protocol, open.from_port, open.to_port)
        )
    end
