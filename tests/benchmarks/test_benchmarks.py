"""The benchmarks still run: each one tiny, through its command line. Figures are not asserted here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

FARGATE = {
    "family": "plain", "networkMode": "awsvpc", "requiresCompatibilities": ["FARGATE"], "cpu": "256", "memory": "512",
    "containerDefinitions": [{"name": "app", "image": "nginx:1"}],
}  # fmt: skip
ON_THE_HOST = {
    "family": "host", "networkMode": "host", "pidMode": "host", "ipcMode": None,
    "containerDefinitions": [
        {"name": "app", "image": "nginx:1", "memory": 64, "privileged": True,
         "mountPoints": [{"sourceVolume": "root", "containerPath": "/host"}]}
    ],
    "volumes": [{"name": "root", "host": {"sourcePath": "/"}}, {"name": "idle", "host": {"sourcePath": "/etc"}}],
}  # fmt: skip
UNMOUNTED = {
    "family": "unmounted", "volumes": [{"name": "idle", "host": {"sourcePath": "/etc"}}],
    "containerDefinitions": [{"name": "app", "image": "nginx:1", "memory": 64}],
}  # fmt: skip
NO_MEMORY = {"family": "refused", "containerDefinitions": [{"name": "app", "image": "nginx:1"}]}


def run(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    environ = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "plugins"), str(ROOT / "examples")])}
    command = [sys.executable, str(ROOT / "benchmarks" / script), *arguments]
    return subprocess.run(command, env=environ, capture_output=True, text=True, check=False)


@pytest.fixture
def definitions(tmp_path: Path) -> Path:
    index = []
    for number, definition in enumerate((FARGATE, ON_THE_HOST, UNMOUNTED, NO_MEMORY), start=1):
        (tmp_path / f"{number:03d}.json").write_text(json.dumps(definition), encoding="utf-8")
        has_volume = any(volume["host"]["sourcePath"] for volume in definition.get("volumes", []))
        is_host = definition["family"] == "host"
        index.append(
            {"n": number, "privileged": is_host, "pid_host": is_host, "host_network": is_host,
             "host_volumes": ["/"] if has_volume else []}
        )  # fmt: skip
    (tmp_path / "index.jsonl").write_text("\n".join(map(json.dumps, index)), encoding="utf-8")
    return tmp_path


@pytest.mark.faults
def test_assess_writes_days_that_hit_the_traits() -> None:
    done = run("assess.py", "--services", "60", "--vulnerabilities", "2000", "--first-day-only", "--check")
    assert done.returncode == 0, done.stderr
    assert "60 services in 1 accounts, 8 digests with 2,000 image findings" in done.stdout


@pytest.mark.faults
def test_collect_sees_everything_and_describes_definitions_once() -> None:
    done = run("collect.py", "--services", "5", "--check")
    assert done.returncode == 0, done.stdout + done.stderr
    (described,) = [line for line in done.stdout.splitlines() if "ecs:DescribeTaskDefinition" in line]
    assert [cell.strip() for cell in described.split("│")[2:6]] == ["5", "5", "0", "0"]


@pytest.mark.faults
def test_real_definitions_are_compared_and_an_index_that_disagrees_fails_the_check(definitions: Path) -> None:
    index = definitions / "index.jsonl"
    index.write_text(index.read_text(encoding="utf-8").replace('"privileged": true', '"privileged": false'))
    done = run("real_org.py", "--taskdefs", str(definitions), "--check")
    assert done.returncode == 1, done.stderr
    assert "4 definitions: 3 accepted and run as services, 1 refused" in done.stdout
    assert "003 root_filesystem_access: the index says True, the scan False: no container mounts" in done.stdout
    assert "002 task_definition_privileged: the index says False, the scan True" in done.stdout


@pytest.mark.faults
def test_findings_are_streamed_into_the_lake() -> None:
    done = run("findings.py", "--findings", "2000", "--vulnerabilities", "300", "--check")
    assert done.returncode == 0, done.stdout + done.stderr
    assert [cell.strip() for cell in done.stdout.splitlines()[-2].split("│")[1:3]] == ["2,000", "2,400"]


def test_samples_in_every_wrapping_are_read_and_an_unknown_one_fails(tmp_path: Path) -> None:
    package = {"name": "openssl", "version": "3.0", "epoch": "0"}
    image = {"repositoryName": "web", "imageHash": "sha256:aa"}
    finding = {
        "findingArn": "arn", "type": "PACKAGE_VULNERABILITY", "firstObservedAt": 1748539687.919,
        "packageVulnerabilityDetails": {"vulnerabilityId": "CVE-1", "vulnerablePackages": [package, {"name": "zlib"}]},
        "resources": [{"details": {"awsEcrContainerImage": image}}],
    }  # fmt: skip
    flat = image | {
        "findingArn": "arn", "type": "PACKAGE_VULNERABILITY", "vulnerabilityId": "CVE-1", "resourceType": "x",
        "vulnerablePackages": [package],
    }  # fmt: skip
    hub = {
        "Id": "arn", "Severity": {"Label": "HIGH"},
        "Vulnerabilities": [{"Id": "CVE-1", "VulnerablePackages": [{"Name": "openssl", "Version": "3", "Epoch": "0"}]}],
        "Resources": [{"Details": {"AwsEcrContainerImage": {"RepositoryName": "web", "ImageDigest": "sha256:aa"}}}],
    }  # fmt: skip
    recorded = {"__class__": "datetime", "year": 2023, "month": 9, "day": 8}
    documents = {
        "answer": {"findings": [finding, {"type": "CODE_VULNERABILITY"}]},
        "event": {"detail-type": "Inspector2 Finding", "detail": finding},
        "flat": {"detail-type": "Inspector Finding", "detail": flat},
        "hub": {"Findings": [hub]},
        "one": finding,
        "recorded": {"data": {"findings": [finding | {"firstObservedAt": recorded}]}},
    }
    for name, document in documents.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(document), encoding="utf-8")
    done = run("inspector_samples.py", "--data", str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    cells = [[cell.strip() for cell in line.split("│")] for line in done.stdout.splitlines() if ".json" in line]
    assert {(row[1], row[4]) for row in cells} == {
        (f"{name}.json", f"{1 if name in ('flat', 'hub') else 2} image_finding") for name in documents
    }
    (tmp_path / "strange.json").write_text("[]", encoding="utf-8")
    done = run("inspector_samples.py", "--data", str(tmp_path))
    assert done.returncode == 1 and "cannot be read" in done.stdout


@pytest.mark.faults
def test_digest_tells_a_week_of_a_made_up_lake() -> None:
    done = run("digest.py", "--exposures", "1000", "--days", "3")
    assert done.returncode == 0, done.stdout + done.stderr
    rows = [[cell.strip() for cell in line.split("│")] for line in done.stdout.splitlines() if "a week, one" in line]
    assert [row[2] for row in rows] == ["1"]


@pytest.mark.faults
def test_publishing_sends_every_finding_to_each_of_its_places() -> None:
    done = run("publish.py", "--findings", "200")
    assert done.returncode == 0, done.stderr
    told = [line.split("│") for line in done.stdout.splitlines() if "MiB" in line]
    sent = [(row[1].strip(), row[2].strip(), float(row[4].split()[0])) for row in told]
    assert sent == [("200", "1", 2), ("200", "100", 100)]
