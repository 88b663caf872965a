-- One row per service with a trait that hits or is unknown: the number of its situation.
select service.resource_id, situation.situation_id
from exposures.service_facts as service
join exposures.situation as situation on situation.facts = service.facts
