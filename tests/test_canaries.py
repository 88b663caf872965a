"""No value of a container's environment, commands, labels or options reaches disk, logs, findings or Airflow.

The real DAG runs over an organisation full of canaries; then every byte it left is searched.
"""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow.parquet as pq
import pytest
from ecs_exposure.lake import Lake
from embedded_aws import EmbeddedAws
from embedded_aws.organization import sample_settings

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

ROOT = Path(__file__).parents[1]
DAY = "2026-11-02"
CANARY = "c4n4ry"
MARKER = "visible-service"
ORGANIZATION = """
first_night: 2026-11-02
regions: [eu-west-1]
scanner:
  account: app
  read_role: ecs-exposure-read
  publish_role: ecs-exposure-publish
  organization_role: ecs-exposure-organization
  external_id: an-external-id
inspector_administrator: app
units: [Apps]
accounts:
  management: {id: "111111111111"}
  app: {id: "222222222222", unit: Apps}
  odd: {id: "333333333333", unit: Apps}
  spare: {id: "444444444444", unit: Apps}
"""
APP, ODD, REGION = "222222222222", "333333333333", "eu-west-1"
PLACES = {
    "environment": f"Pr0d-{CANARY}-environment-77x",
    "token": f"ghp_{CANARY}AbCdEfGhIjKlMnOpQrStUvWxYz0123",
    "url": f"postgres://app:{CANARY}-url@db/app",
    "harmless": f"{CANARY}-harmless",
    "command": f"--password={CANARY}-command",
    "entry_point": f"{CANARY}-entry-point",
    "health_check": f"curl -u admin:{CANARY}-health http://localhost",
    "label": f"{CANARY}-label",
    "log_option": f"{CANARY}-log-option",
    "firelens_option": f"{CANARY}-firelens-option",
    "volume_option": f"{CANARY}-volume-option",
    "name": f"SESSION_SECRET={CANARY}-pasted-into-the-name",
}


def definition() -> dict[str, object]:
    container = {
        "name": "main",
        "image": "public.ecr.aws/docker/library/busybox:1",
        "memory": 128,
        "environment": [
            {"name": "DB_PASSWORD", "value": PLACES["environment"]},
            {"name": "GITHUB_TOKEN", "value": PLACES["token"]},
            {"name": "DATABASE_URL", "value": PLACES["url"]},
            {"name": "GREETING", "value": PLACES["harmless"]},
            {"name": PLACES["name"], "value": "x"},
        ],
        "command": ["run", PLACES["command"]],
        "entryPoint": ["sh", "-c", PLACES["entry_point"]],
        "healthCheck": {"command": ["CMD-SHELL", PLACES["health_check"]]},
        "dockerLabels": {"api-token": PLACES["label"]},
        "logConfiguration": {
            "logDriver": "splunk",
            "options": {"splunk-token": PLACES["log_option"]},
            "secretOptions": [
                {"name": "splunk-index", "valueFrom": "arn:aws:ssm:eu-west-1:222222222222:parameter/index"}
            ],
        },
        "mountPoints": [{"sourceVolume": "data", "containerPath": "/data"}],
    }
    router = {
        "name": "router",
        "image": "public.ecr.aws/aws-observability/aws-for-fluent-bit:stable",
        "memory": 64,
        "firelensConfiguration": {"type": "fluentbit", "options": {"config-file-value": PLACES["firelens_option"]}},
    }
    volume = {
        "name": "data",
        "dockerVolumeConfiguration": {"driver": "cifs", "driverOpts": {"o": PLACES["volume_option"]}},
    }
    return {"family": MARKER, "containerDefinitions": [container, router], "volumes": [volume]}


class Misplacing(EmbeddedAws):
    """Answers about one account hold canaries where AWS never puts text, and shapes it never sends: what cannot be kept
    must not be quoted either."""

    is_misplacing = False

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        held: list[tuple[str, list[tuple[str, str]]]] = []
        parts = super().__call__(environ, lambda status, headers, _=None: held.append((status, headers)))
        body = b"".join(parts)
        ((status, headers),) = held
        if self.is_misplacing and (f":{ODD}:service/".encode() in body or f":{ODD}:task-definition/".encode() in body):
            body = json.dumps(misplaced(json.loads(body))).encode()
            headers = [pair for pair in headers if pair[0].lower() != "content-length"]
            headers.append(("Content-Length", str(len(body))))
        start_response(status, headers)
        return [body]


def misplaced(answer: dict[str, Any]) -> dict[str, Any]:
    for service in answer.get("services", []):
        service["desiredCount"] = f"{CANARY}-count"
    for container in answer.get("taskDefinition", {}).get("containerDefinitions", []):
        container |= {
            "environment": [{"name": {CANARY: CANARY}, "value": [f"{CANARY}-list"]}],
            "command": [{"password": f"{CANARY}-no-text"}],
            "dockerLabels": {"api-token": [f"{CANARY}-no-text"]},
            "privileged": f"{CANARY}-no-boolean",
        }
    return answer


@pytest.fixture(scope="module")
def left(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Folder with everything a run of the DAG leaves: lake, Airflow's home, the hub's state, all output."""
    folder = tmp_path_factory.mktemp("left")
    organization = tmp_path_factory.mktemp("organisation")
    (organization / "accounts").mkdir()
    (organization / "organization.yaml").write_text(ORGANIZATION)
    (organization / "images.yaml").write_text("cves: {}\nimages: {}\n")
    for name in ("app", "odd"):
        (organization / "accounts" / f"{name}.yaml").write_text(
            "regions: {eu-west-1: {clusters: {main: {instances: 1}}}}\n"
        )
    with Misplacing(organization, state=folder / "hub") as aws:
        for account in (APP, ODD):
            ecs = aws.client("ecs", account, REGION)
            ecs.register_task_definition(**definition())
            ecs.create_service(
                cluster="main", serviceName=MARKER, taskDefinition=MARKER, desiredCount=1, launchType="EC2"
            )
        aws.is_misplacing = True
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "ECS_EXPOSURE"))
        }
        environment |= sample_settings(organization) | aws.environ()
        environment |= {
            "ECS_EXPOSURE_LAKE": str(folder / "lake"),
            "AIRFLOW_HOME": str(folder / "airflow"),
            "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
            "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "INFO",
            "PYTHONPATH": str(ROOT / "plugins"),
        }
        airflow = [sys.executable, "-m", "airflow"]
        with open(folder / "output.txt", "w", encoding="utf-8") as output:
            for arguments in (
                ["db", "migrate"],
                ["dags", "test", "exposure_nightly", "--conf", json.dumps({"snapshot_date": DAY})],
            ):
                subprocess.run([*airflow, *arguments], env=environment, stdout=output, stderr=output, check=True)
    yield folder


def texts(folder: Path) -> Iterator[tuple[str, str]]:
    """Every file as text; Parquet and SQLite are opened up."""
    for path in sorted(folder.rglob("*")):
        if not path.is_file():
            continue
        yield str(path), path.read_bytes().decode("utf-8", "replace")
        if path.suffix == ".parquet":
            yield str(path), str(pq.read_table(path, partitioning=None).to_pylist())
        elif path.suffix == ".db":
            with sqlite3.connect(path) as database:
                yield str(path), "\n".join(database.iterdump())


def test_no_canary_is_anywhere(left: Path) -> None:
    assert [place for place, text in texts(left) if CANARY in text] == []


def test_the_search_finds_what_is_there(left: Path) -> None:
    holding = {place for place, text in texts(left) if MARKER in text}
    for part in ("lake/snapshots/service", "lake/results/exposure", "lake/quarantine", "hub/"):
        assert any(part in place for place in holding), part
    assert any(place.endswith("airflow.db") for place, text in texts(left) if "exposure_nightly" in text)


def test_a_value_of_the_wrong_type_was_set_aside_without_being_quoted(left: Path) -> None:
    with Lake.open(str(left / "lake")) as lake:
        (day,) = lake.days()
        (row,) = [
            row
            for row in lake.coverage(day).to_pylist()
            if (row["account_id"], row["region"], row["dataset"]) == (ODD, REGION, "service")
        ]
    assert row["status"] == "invalid"
    assert "service.desired_count" in row["message"]
    assert list((left / "lake" / "quarantine" / "service").rglob("*.parquet"))


def test_the_credentials_were_detected_all_the_same(left: Path) -> None:
    with Lake.open(str(left / "lake")) as lake, duckdb.connect() as connection:
        (day,) = lake.days()
        lake.attach_snapshot(connection, day, datasets=("credential",))
        found = connection.execute(
            f"select source, variable_name from snapshot.credential where account_id = '{APP}'"
        ).fetchall()
        lake.attach_results(connection, day, "night")
        traits = connection.execute(f"select traits from night.exposure where account_id = '{APP}'").fetchall()
    assert {("environment", "DB_PASSWORD"), ("environment", "GITHUB_TOKEN"), ("environment", "DATABASE_URL")} <= set(
        found
    )
    assert {"command", "docker_label", "log_option"} <= {source for source, _ in found}
    assert "cleartext_credentials" in traits[0][0]
