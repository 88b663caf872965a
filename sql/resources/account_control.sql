-- One row per account of the organisation: which service control policies bind it.
--   control_key   the policies of every level from the root down; accounts with the same key are bound alike; NULL when none bind
--   control_sight applied, not_binding (the management account: no service control policy ever binds it), not_enabled, or not_seen:
--                 then what a role may do is told as before service control policies
with level as (
    select bound_account_id, to_json(list(policy_ids order by level))::varchar as control_key
    from snapshot.service_control_level
    group by bound_account_id
),
sight as (
    select coalesce(max(case status when 'not_enabled' then 'not_enabled' else 'not_seen' end), 'not_seen') as unseen
    from snapshot.coverage
    where dataset = 'service_control_level'
)
select
    account.account_id,
    case when not account.is_management then level.control_key end as control_key,
    case
        when account.is_management then 'not_binding'
        when level.control_key is not null then 'applied'
        else sight.unseen
    end as control_sight
from snapshot.account as account
cross join sight
left join level on level.bound_account_id = account.account_id
