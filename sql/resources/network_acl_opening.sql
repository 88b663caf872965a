-- One row per network ACL × direction × address family × protocol × run of ports for which at least half of the internet is
-- let through, with the lowest rule that does. The lowest matching number decides: what an allow admits is its range without
-- the ranges of lower rules on the same port. No row: closed. Entries of less than a 4096th of the internet neither open nor close.
with entry as (
    select distinct network_acl_id, is_egress, rule_number, is_allow, protocol, from_port, to_port, is_ipv6,
        public_first, public_last, whole
    from resources.network_acl
    where share >= 1.0 / 4096
),
edge as (
    select network_acl_id, is_egress, is_ipv6, protocol, from_port as port from entry
    union
    select network_acl_id, is_egress, is_ipv6, protocol, to_port + 1 from entry where to_port < 65535
),
run as (
    select *, coalesce(lead(port) over (partition by network_acl_id, is_egress, is_ipv6, protocol order by port), 65536) - 1 as to_port
    from edge
),
allowing as (
    select
        run.network_acl_id, run.is_egress, run.is_ipv6, run.protocol, run.port as from_port, run.to_port,
        entry.rule_number, entry.public_first, entry.public_last, entry.whole
    from run
    join entry
        on entry.network_acl_id = run.network_acl_id and entry.is_egress = run.is_egress and entry.is_ipv6 = run.is_ipv6
        and entry.protocol = run.protocol and entry.is_allow and run.port between entry.from_port and entry.to_port
),
earlier as (
    select
        allowing.network_acl_id, allowing.is_egress, allowing.is_ipv6, allowing.protocol, allowing.from_port, allowing.rule_number,
        greatest(0, least(entry.public_last, allowing.public_last) - greatest(entry.public_first, allowing.public_first,
            1 + coalesce(max(entry.public_last) over (
                partition by allowing.network_acl_id, allowing.is_egress, allowing.is_ipv6, allowing.protocol, allowing.from_port,
                    allowing.rule_number
                order by entry.public_first, entry.public_last desc, entry.rule_number
                rows between unbounded preceding and 1 preceding), -1)) + 1) / allowing.whole as takes
    from allowing
    join entry
        on entry.network_acl_id = allowing.network_acl_id and entry.is_egress = allowing.is_egress
        and entry.is_ipv6 = allowing.is_ipv6 and entry.protocol = allowing.protocol
        and entry.rule_number < allowing.rule_number
        and allowing.from_port between entry.from_port and entry.to_port
        and entry.public_first <= allowing.public_last and entry.public_last >= allowing.public_first
),
taken as (
    select network_acl_id, is_egress, is_ipv6, protocol, from_port, rule_number, sum(takes) as takes
    from earlier
    group by all
),
admitted as (
    select allowing.*, (public_last - public_first + 1) / whole - coalesce(taken.takes, 0) as share
    from allowing
    left join taken using (network_acl_id, is_egress, is_ipv6, protocol, from_port, rule_number)
)
select
    network_acl_id, is_egress, is_ipv6, protocol, from_port, to_port,
    min(rule_number) filter (where share > 0) as rule_number
from admitted
group by network_acl_id, is_egress, is_ipv6, protocol, from_port, to_port
having sum(share) >= 0.5
