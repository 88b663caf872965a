"""`python -m embedded_aws run|serve`, as a user calls it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT / "examples"), "AWS_PROFILE": "somebody-elses"}
# As small as an organisation can be: the start of the sample's is not what these tests are about.
ORGANIZATION = """
first_night: 2026-11-02
regions: [eu-west-1]
scanner: {account: security, read_role: r, publish_role: p, organization_role: o, external_id: e}
inspector_administrator: security
units: [Infrastructure]
accounts: {management: {id: "111111111111"}, security: {id: "222222222222", unit: Infrastructure}}
"""

SAY_HELLO = (
    "import boto3, os; print(boto3.client('sts').get_caller_identity()['Account'], os.environ['EMBEDDED_AWS_DATE'])"
)

IMPORT_ONE = """
import boto3
types = ["Software and Configuration Checks/Vulnerabilities"]
finding = {
    "SchemaVersion": "2018-10-08", "Id": "x", "GeneratorId": "test", "AwsAccountId": "222222222222",
    "ProductArn": "arn:aws:securityhub:eu-west-1:222222222222:product/222222222222/default",
    "CreatedAt": "2026-11-02T00:00:00Z", "UpdatedAt": "2026-11-02T00:00:00Z", "Title": "t", "Description": "d",
    "FindingProviderFields": {"Severity": {"Label": "LOW"}, "Types": types},
    "Resources": [{"Type": "Other", "Id": "r"}],
}
answer = boto3.client("securityhub", region_name="eu-west-1").batch_import_findings(Findings=[finding])
assert answer["SuccessCount"] == 1, answer
"""
COUNT = "import boto3; print(len(boto3.client('securityhub', region_name='eu-west-1').get_findings()['Findings']))"


def arguments(state: Path) -> list[str]:
    organization = state.parent / "organization"
    organization.mkdir(exist_ok=True)
    (organization / "organization.yaml").write_text(ORGANIZATION, encoding="utf-8")
    (organization / "images.yaml").write_text("{cves: {}, images: {}}", encoding="utf-8")
    return [
        *(sys.executable, "-m", "embedded_aws", "run"),
        *("--organization", str(organization), "--state", str(state), "--"),
    ]


def run(state: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*arguments(state), *command], env=ENVIRONMENT, capture_output=True, text=True, timeout=60)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{pid}/stat")
    return not state.exists() or state.read_text().rpartition(")")[2].split()[0] != "Z"


def test_runs_a_child_night_after_night_and_a_failed_one_again(tmp_path: Path) -> None:
    state = tmp_path / "a state"
    assert run(state, sys.executable, "-c", "raise SystemExit(3)").returncode == 3
    first = run(state, sys.executable, "-c", SAY_HELLO)
    assert (first.returncode, first.stdout) == (0, "222222222222 2026-11-02\n"), first.stderr
    second = run(state, sys.executable, "-c", SAY_HELLO)
    assert second.stdout == "222222222222 2026-11-03\n"
    called = json.loads((state / "calls.json").read_text())["by_role"]
    assert ["", "sts", "GetCallerIdentity", 1] in called


def test_security_hub_remembers_between_runs(tmp_path: Path) -> None:
    assert run(tmp_path / "state", sys.executable, "-c", IMPORT_ONE).returncode == 0
    assert run(tmp_path / "state", sys.executable, "-c", COUNT).stdout == "1\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_child_and_what_it_started(tmp_path: Path, number: signal.Signals) -> None:
    script = (
        "import os, subprocess, sys, time; grandchild = subprocess.Popen(['sleep', '300']); "
        "print(os.getpid(), grandchild.pid, flush=True); time.sleep(300)"
    )
    process = subprocess.Popen(
        [*arguments(tmp_path / "state"), sys.executable, "-c", script],
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        # A suite started in the background of a script inherits an ignored SIGINT, and so would everything below it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stdout is not None
    pids = [int(word) for word in process.stdout.readline().split()]
    process.send_signal(number)
    code = process.wait(30)
    assert code != 0
    assert len(pids) == 2
    assert not any(is_alive(pid) for pid in pids)
    assert not (tmp_path / "state" / "night.json").exists()


def test_what_a_finished_child_left_behind_is_ended(tmp_path: Path) -> None:
    script = "import subprocess; print(subprocess.Popen(['sleep', '300'], stdout=subprocess.DEVNULL).pid)"
    done = run(tmp_path / "state", sys.executable, "-c", script)
    assert done.returncode == 0
    assert not is_alive(int(done.stdout))


def test_serve_prints_exports_and_stops_on_a_signal(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "embedded_aws", "serve", "--state", str(tmp_path)]
    process = subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line.startswith("export AWS_ENDPOINT_URL=http://127.0.0.1:")
    url = line.strip().partition("=")[2]
    answer = subprocess.run(
        [sys.executable, "-c", "import boto3; print(boto3.client('ecs').list_clusters()['clusterArns'])"],
        env={**os.environ, "AWS_ENDPOINT_URL": url, "AWS_ACCESS_KEY_ID": "demo", "AWS_SECRET_ACCESS_KEY": "demo",
             "AWS_DEFAULT_REGION": "eu-west-1"},
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert answer.stdout == "[]\n", answer.stderr
    process.terminate()
    assert process.wait(30) == 0
    deadline = time.monotonic() + 5
    while not (tmp_path / "ecs.json").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert (tmp_path / "ecs.json").exists()
