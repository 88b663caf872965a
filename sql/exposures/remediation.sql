-- One row per change a team can make × service that it touches. `position` numbers a service's changes from
-- 0 (images, roles, groups, definitions, settings, by name); of a service with more than seven the first seven count.
with change as (
    select
        resource_id, kind, account_id, region, name,
        coalesce(list_sort(list(distinct trait) filter (where trait is not null)), []) as traits
    from exposures.remediation_atom
    group by all
),
rule as (
    select
        group_id,
        array_to_string(list_sort(list(distinct
            case protocol when '-1' then 'all traffic' else protocol || ' '
                || case when from_port = 0 and to_port = 65535 then 'all ports' when from_port = to_port then from_port::varchar
                    else from_port || '-' || to_port end end
            || ' from ' || coalesce(cidr, prefix_list_id)
        ))[1:5], ', ') as rules
    from resources.open_rule
    group by group_id
),
placed as (
    select
        *,
        row_number() over (
            partition by resource_id
            order by list_position(['image', 'role', 'security_group', 'task_definition', 'service'], kind), account_id, region, name
        ) - 1 as position
    from change
)
select
    service.account_id, service.region, placed.resource_id,
    left(md5(concat_ws('/', placed.kind, placed.account_id, placed.region, placed.name)), 16) as remediation_id,
    placed.kind, placed.account_id as remediation_account_id, placed.region as remediation_region, placed.name, placed.traits,
    case placed.kind when 'security_group' then rule.rules end as detail,
    placed.position::integer as position
from placed
join resources.service as service on service.resource_id = placed.resource_id
left join rule on placed.kind = 'security_group' and rule.group_id = placed.name
where placed.position < 7
