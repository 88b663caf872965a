"""
### Assess past days again

Rebuilds the results of past days from their stored snapshots with today's SQL, day by day from `since` forward, because
each day's changes and dates rest on the day before. Collects nothing and never publishes; changes that only the rules
explain say `cause = rules`. Days whose snapshot is no longer kept (see retention in `docs/operate.md`) cannot be
rebuilt.
"""

from datetime import datetime

from airflow.sdk import Param, dag, task
from ecs_exposure_airflow import stages


@dag(
    schedule=None,
    start_date=datetime(2026, 1, 1),
    max_active_runs=1,
    params={
        "since": Param(type="string", format="date", description="First day to assess again"),
        "until": Param(None, type=["null", "string"], format="date", description="Last day (default: the latest)"),
    },
    doc_md=__doc__,
    tags=["ecs-exposure"],
)
def exposure_reassess():
    @task(pool=stages.POOL)
    def reassess(params=None):
        return stages.reassess(params["since"], params["until"])

    reassess()


exposure_reassess()
