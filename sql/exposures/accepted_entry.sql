-- One row per entry of the file of accepted risks: its state today, and the pattern of cluster/service that it names.
-- It is in force from its accepted_date until the day before its expiry_date. Numbered so that the one that ends first comes first.
select
    row_number() over (order by risk.expiry_date, risk.account, risk.service, risk.trait, risk.accepted_date) as entry_id,
    risk.*,
    case when contains(risk.service, '/') then risk.service else '*/' || risk.service end as pattern,
    case
        when day.snapshot_date < risk.accepted_date then 'not_yet'
        when day.snapshot_date < risk.expiry_date then 'in_force'
        else 'expired'
    end as state
from run.accepted_risk as risk
cross join run.day as day
