"""
### The nightly exposure scan

batches → **collect** (mapped) → images (mapped) → feeds → **gate** → **assess** → **publish** (mapped) → report

Snapshots ECS, IAM and network data of every account and Region; asks ECR, Amazon Inspector and local feeds about
the images that run; checks the night with Great Expectations; computes traits and severities; tells Security Hub.

* **Day**: the run's `snapshot_date` parameter, else the UTC date of `run_after`. Clearing a task keeps it.
* **Retries** collect only targets without an `ok` coverage row. What cannot be seen is carried over.
* **Something red?** `docs/operate.md` says for each stage what it means and what to do.
"""

from datetime import datetime, timedelta

from airflow.sdk import Asset, Param, dag, task
from ecs_exposure_airflow import stages

FINDINGS = Asset(name="exposure/findings", uri="ecs-exposure://findings")


@dag(
    schedule="0 2 * * *",
    start_date=datetime(2026, 1, 1),
    catchup=False,
    max_active_runs=1,
    doc_md=__doc__,
    default_args={"retries": 2, "retry_delay": timedelta(minutes=2), "retry_exponential_backoff": True},
    params={"snapshot_date": Param(None, type=["null", "string"], format="date", description="Default: today, UTC")},
    tags=["ecs-exposure"],
)
def exposure_nightly():
    @task
    def batches():
        return stages.plan()

    @task(max_active_tis_per_dagrun=16)
    def collect(batch):
        return stages.collect(batch)

    # A batch that died must not blind the rest: its targets are `failed` coverage, which the gate weighs.
    @task(trigger_rule="all_done")
    def image_batches():
        return stages.plan_images()

    @task(max_active_tis_per_dagrun=16)
    def images(batch):
        return stages.collect_images(batch)

    @task(trigger_rule="all_done")
    def feeds():
        return stages.collect_feeds()

    @task(trigger_rule="all_done")
    def gate():
        return stages.gate()

    @task(outlets=[FINDINGS], pool=stages.POOL)
    def assess():
        return stages.assess()

    @task
    def publish_batches():
        return stages.plan_publish()

    @task(max_active_tis_per_dagrun=16)
    def publish(batch):
        return stages.publish(batch)

    @task(trigger_rule="none_failed")
    def report():
        return stages.report()

    planned, to_publish = image_batches(), publish_batches()
    collect.expand(batch=batches()) >> planned
    images.expand(batch=planned) >> feeds() >> gate() >> assess() >> to_publish
    publish.expand(batch=to_publish) >> report()


exposure_nightly()
