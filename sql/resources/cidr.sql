-- One row per distinct address range that any rule, entry, route or subnet names, as whole numbers, so that no later model reads text.
-- An IPv6 range is placed by its first 32 bits: nothing narrower than a /32 decides whether the internet gets in.
-- `share` is the part of the internet it holds, of all IPv4 or of 2000::/3; a range of private and other addresses that nobody
-- on the internet has is_unroutable, and counts only to complete what stands around it.
with named as (
    select cidr from snapshot.security_group_rule where cidr is not null
    union select cidr from snapshot.network_acl_entry where cidr is not null
    union select cidr from snapshot.prefix_list_entry where cidr is not null
    union select cidr from snapshot.subnet where cidr is not null
    union select destination from snapshot.route where contains(destination, '/')
),
parsed as (
    select
        cidr,
        contains(cidr, ':') as is_ipv6,
        try_cast(split_part(cidr, '/', 2) as bigint) as prefix_length,
        case
            when contains(cidr, ':') then
                coalesce(try_cast('0x' || nullif(split_part(split_part(cidr, '/', 1), ':', 1), '') as bigint), 0) * 65536
                + coalesce(try_cast('0x' || nullif(split_part(split_part(cidr, '/', 1), ':', 2), '') as bigint), 0)
            else list_reduce(
                list_transform(string_split(split_part(cidr, '/', 1), '.'), lambda octet: try_cast(octet as bigint)),
                lambda sum, octet: sum * 256 + octet
            )
        end as address
    from named
),
placed as (
    select
        cidr, is_ipv6, prefix_length,
        address - address % (1::bigint << (32 - least(prefix_length, 32))) as first,
        address - address % (1::bigint << (32 - least(prefix_length, 32))) + (1::bigint << (32 - least(prefix_length, 32))) - 1 as last
    from parsed
    where address is not null and prefix_length between 0 and 128
),
-- 10/8, 100.64/10, 127/8, 169.254/16, 172.16/12, 192.168/16, 224/3.
unroutable as (
    select unnest([167772160, 1681915904, 2130706432, 2851995648, 2886729728, 3232235520, 3758096384]) as first,
        unnest([184549375, 1686110207, 2147483647, 2852061183, 2887778303, 3232301055, 4294967295]) as last
),
public as (
    select
        placed.*,
        case when is_ipv6 then greatest(first, 536870912) else first end as public_first,
        case when is_ipv6 then least(last, 1073741823) else last end as public_last,
        case when is_ipv6 then 536870912 else 4294967296 end as whole
    from placed
)
select
    cidr, is_ipv6, prefix_length, first, last, public_first, public_last, whole,
    case when public_last < public_first or prefix_length > 32 then 0.0 else (public_last - public_first + 1) / whole end as share,
    exists (
        select 1 from unroutable
        where not public.is_ipv6 and public.first >= unroutable.first and public.last <= unroutable.last
    ) as is_unroutable
from public
