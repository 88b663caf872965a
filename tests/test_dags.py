"""Both DAGs load without an error and have the tasks, order and settings that the runbook relies on."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
LOAD = """
import json
from airflow.dag_processing.dagbag import DagBag
bag = DagBag("dags")
print("DAGS " + json.dumps({
    "errors": bag.import_errors,
    "dags": {name: {
        "tasks": {task.task_id: sorted(task.downstream_task_ids) for task in dag.tasks},
        "rules": {task.task_id: task.trigger_rule.value for task in dag.tasks},
        "pools": {task.task_id: task.pool for task in dag.tasks},
        "max_active_runs": dag.max_active_runs, "has_doc": bool(dag.doc_md), "catchup": dag.catchup,
    } for name, dag in bag.dags.items()},
}))
"""


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What a DagBag finds, in a process of its own: importing airflow needs its home set first."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    environment |= {
        "AIRFLOW_HOME": str(tmp_path_factory.mktemp("airflow")),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
        "PYTHONPATH": str(ROOT / "plugins"),
    }
    done = subprocess.run(
        [sys.executable, "-c", LOAD], env=environment, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("DAGS ")]
    return json.loads(line.removeprefix("DAGS "))


def test_both_dags_load_without_an_error(loaded: Any) -> None:
    assert loaded["errors"] == {}
    assert set(loaded["dags"]) == {"exposure_nightly", "exposure_reassess"}
    for dag in loaded["dags"].values():
        assert dag["max_active_runs"] == 1
        assert dag["has_doc"]


def test_the_nightly_scan_runs_its_stages_in_order(loaded: Any) -> None:
    nightly = loaded["dags"]["exposure_nightly"]
    order = [
        "batches", "collect", "image_batches", "images", "feeds", "gate",
        "assess", "publish_batches", "publish", "report",
    ]  # fmt: skip
    assert set(nightly["tasks"]) == set(order)
    for task, after in itertools.pairwise(order):
        assert after in nightly["tasks"][task]
    assert nightly["catchup"] is False


def test_a_failed_batch_still_reaches_the_gate_but_a_failed_gate_makes_the_run_red(loaded: Any) -> None:
    rules = loaded["dags"]["exposure_nightly"]["rules"]
    assert rules["image_batches"] == rules["feeds"] == rules["gate"] == "all_done"
    assert rules["assess"] == "all_success"
    assert rules["report"] == "none_failed"


def test_writing_results_is_kept_apart_by_one_pool(loaded: Any) -> None:
    assert loaded["dags"]["exposure_nightly"]["pools"]["assess"] == "ecs_exposure_lake"
    assert loaded["dags"]["exposure_reassess"]["pools"]["reassess"] == "ecs_exposure_lake"
