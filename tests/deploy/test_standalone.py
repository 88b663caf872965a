"""The parts of `make up` that need no Airflow: ports, its own environment, and ending every process of a session."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from ecs_exposure_airflow import standalone

# The child moves to a process group of its own, as Airflow's parts do; the leader ignores SIGTERM if told.
FAMILY = """
import os, signal, subprocess, sys, time
if sys.argv[1] == "deaf":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; print('up', flush=True); time.sleep(600)"],
                         process_group=0, stdout=subprocess.PIPE)
child.stdout.readline()
print(child.pid, flush=True)
if sys.argv[1] == "orphan":
    sys.exit()
time.sleep(600)
"""


@pytest.mark.parametrize("family", ["polite", "orphan", "deaf"])
def test_ending_a_session_leaves_none_of_its_processes(family: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standalone, "GRACE_SECONDS", 0.3)
    leader = subprocess.Popen(
        [sys.executable, "-c", FAMILY, family], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    assert leader.stdout is not None
    child = psutil.Process(int(leader.stdout.readline()))
    if family == "orphan":
        leader.wait()
    assert os.getpgid(child.pid) != leader.pid
    standalone.end_session(leader)
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE
    assert leader.returncode in (0, -signal.SIGTERM, -signal.SIGKILL)
    leader.stdout.close()


def test_a_taken_port_is_replaced() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert standalone.free_port(port) not in (0, port)


def test_secrets_are_made_once_and_are_private(tmp_path: Path) -> None:
    home = tmp_path / "a home"
    first = standalone.airflow_environment(home, 8080)
    again = standalone.airflow_environment(home, 8081)
    assert first["AIRFLOW__API_AUTH__JWT_SECRET"] == again["AIRFLOW__API_AUTH__JWT_SECRET"]
    assert len(first["AIRFLOW__API_AUTH__JWT_SECRET"]) >= 64
    for name in (standalone.PASSWORDS, "jwt-secret"):
        assert stat.S_IMODE((home / name).stat().st_mode) == 0o600
    assert again["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"] == "http://localhost:8081/execution/"


def test_nothing_of_the_users_aws_airflow_or_scan_reaches_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_PROFILE", "AIRFLOW_HOME", "AIRFLOW__CORE__FERNET_KEY", "ECS_EXPOSURE_LAKE"):
        monkeypatch.setenv(name, "mine")
    monkeypatch.setenv("LANG", "C.UTF-8")
    inherited = standalone.inherited_environment()
    assert "mine" not in inherited.values()
    assert inherited["LANG"] == "C.UTF-8"


def test_a_state_folder_has_one_user(tmp_path: Path) -> None:
    with (
        standalone.sole_user(tmp_path),
        pytest.raises(RuntimeError, match="already runs"),
        standalone.sole_user(tmp_path),
    ):
        pass
    with standalone.sole_user(tmp_path):
        pass


def test_a_command_that_fails_names_its_log(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match=r"exit code 3.*log"):
        standalone.finish([sys.executable, "-c", "raise SystemExit(3)"], os.environ, tmp_path / "log")
