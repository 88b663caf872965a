"""`make up`: a local Airflow with its UI beside the embedded AWS that plays the sample organisation.

    python -m ecs_exposure_airflow.standalone [--organization DIR] [--state DIR] [--night N] [--port P]

Airflow runs as `airflow standalone` (SQLite, LocalExecutor) with a home of its own inside the state folder:
nothing of the user's Airflow or AWS configuration is read, and nothing outside the checkout is written.
Ctrl-C or SIGTERM stops it, and every process it started.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import psutil

ROOT = Path(__file__).resolve().parents[2]
POOL = "ecs_exposure_lake"
"""As stages.POOL, which cannot be imported here: airflow may be imported only once AIRFLOW_HOME is set."""
PASSWORDS = "simple_auth_manager_passwords.json.generated"
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
START_SECONDS = 180
"""Airflow answers after about 20 s on two idle cores; a loaded or cold machine takes several times that."""
GRACE_SECONDS = 20
"""A running task has this long to end after the signal; then it is killed, and the next run does its work."""


class Interrupted(Exception):
    """SIGTERM or Ctrl-C arrived."""


def free_port(wanted: int = 0) -> int:
    """`wanted` when nothing listens there, else a free port of the system's choice."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            # As a server will bind it: a port in TIME_WAIT is free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                if not port:
                    raise
                continue
            return int(probe.getsockname()[1])
    raise AssertionError("unreachable: the second pass returns or raises")


def airflow_environment(home: Path, port: int) -> dict[str, str]:
    """Variables of an Airflow of its own: home, database, ports and secrets, made once per home.

    Writes the UI's password into the home on first use. The secrets are of this home only and protect a local demo.
    """
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    passwords = home / PASSWORDS
    if not passwords.exists():
        _write_privately(passwords, json.dumps({"admin": secrets.token_urlsafe(12)}) + "\n")
    jwt = home / "jwt-secret"
    if not jwt.exists():
        _write_privately(jwt, secrets.token_urlsafe(64))
    url = f"http://localhost:{port}"
    return {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow.db'}",
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW__CORE__PARALLELISM": "4",
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__DAGS_FOLDER": str(ROOT / "dags"),
        "AIRFLOW__CORE__PLUGINS_FOLDER": str(ROOT / "plugins"),
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{url}/execution/",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
        "AIRFLOW__API__HOST": "127.0.0.1",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__BASE_URL": url,
        "AIRFLOW__API__WORKERS": "1",
        "AIRFLOW__API_AUTH__JWT_SECRET": jwt.read_text(encoding="utf-8"),
        "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": str(free_port()),
        "AIRFLOW__LOGGING__TRIGGER_LOG_SERVER_PORT": str(free_port()),
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "GX_ANALYTICS_ENABLED": "false",
        "PYTHONPATH": str(ROOT / "plugins"),
    }


def _write_privately(path: Path, text: str) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(text)


def inherited_environment() -> dict[str, str]:
    """The caller's environment without what would point Airflow, the scan or boto3 elsewhere."""
    foreign = ("AIRFLOW", "AWS_", "ECS_EXPOSURE_", "EMBEDDED_AWS_", "PYTHONPATH")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    # `airflow standalone` starts its parts by the name `airflow`.
    kept["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), kept.get("PATH", os.defpath)])
    return kept


@contextmanager
def session(command: list[str], environment: Mapping[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """`command` as leader of a session of its own, output in `log`; on exit the whole session has ended.

    Airflow's parts move into process groups of their own, so ending one group would leave some behind; none leaves the
    session.
    """
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            env=environment,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        end_session(process)


def finish(command: list[str], environment: Mapping[str, str], log: Path) -> None:
    """Run `command` to its end. Raises RuntimeError, naming the log, when it fails."""
    with session(command, environment, log) as process:
        if process.wait():
            raise RuntimeError(f"{' '.join(command[2:])} failed (exit code {process.returncode}); read {log}")


def session_members(leader: int) -> list[psutil.Process]:
    """The living processes of the session, its leader among them."""
    members = []
    for candidate in psutil.process_iter():
        try:
            if os.getsid(candidate.pid) == leader and candidate.status() != psutil.STATUS_ZOMBIE:
                members.append(candidate)
        except (ProcessLookupError, PermissionError, psutil.NoSuchProcess):
            continue  # ended meanwhile, or another user's
    return members


def end_session(process: subprocess.Popen[bytes]) -> None:
    """SIGTERM to all members of the session `process` leads; SIGKILL to those still there after GRACE_SECONDS."""
    deadline = time.monotonic() + GRACE_SECONDS
    asked: set[int] = set()
    while members := session_members(process.pid):
        late = time.monotonic() > deadline
        for member in members:
            # Once each: a second SIGTERM makes some of Airflow's parts skip their own clean end.
            if late or member.pid not in asked:
                asked.add(member.pid)
                _signal(member, signal.SIGKILL if late else signal.SIGTERM)
        process.poll()
        time.sleep(0.1)
    process.wait()


def _signal(member: psutil.Process, number: signal.Signals) -> None:
    try:
        member.send_signal(number)
    except psutil.NoSuchProcess:
        return  # it ended by itself


def wait_until_up(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Return once Airflow's API answers and its scheduler and DAG processor live.

    Raises RuntimeError, naming the log, when Airflow ends first or takes longer than START_SECONDS.
    """
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise RuntimeError(f"Airflow ended while starting (exit code {process.returncode}); read {log}")
        if _is_healthy(url):
            return
        time.sleep(0.5)
    raise RuntimeError(f"Airflow did not answer at {url} within {START_SECONDS} s; read {log}")


def _is_healthy(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/api/v2/monitor/health", timeout=5) as answer:
            parts = json.load(answer)
    except (urllib.error.URLError, TimeoutError, ConnectionError):
        return False
    return all(parts.get(name, {}).get("status") == "healthy" for name in ("scheduler", "dag_processor"))


@contextmanager
def sole_user(state: Path) -> Iterator[None]:
    """Hold the state folder alone. Raises RuntimeError when another one does."""
    state.mkdir(parents=True, exist_ok=True)
    with (state / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RuntimeError(f"another `make up` already runs on {state}; stop it first") from None
        yield


def run(organization: Path, state: Path, night: int, port: int) -> None:
    """Start both, say where to look, and hold until interrupted.

    Raises RuntimeError, naming the log, when Airflow does not start or ends by itself.
    """
    # Only this command needs the embedded AWS: in production examples/ need not be installed.
    from embedded_aws import EmbeddedAws
    from embedded_aws.organization import sample_settings

    home, lake, log = state / "airflow", state / "lake", state / "airflow.log"
    with sole_user(state), EmbeddedAws(organization, night=night, state=state / "aws") as aws:
        port = free_port(port)
        environment = (
            inherited_environment()
            | aws.environ()
            | sample_settings(organization)
            | {"ECS_EXPOSURE_LAKE": str(lake)}
            | airflow_environment(home, port)
        )
        print(f"starting Airflow (log: {log})", flush=True)
        airflow = [sys.executable, "-m", "airflow"]
        finish([*airflow, "db", "migrate"], environment, log)
        finish([*airflow, "pools", "set", POOL, "1", "nightly scan and reassessment"], environment, log)
        with session([*airflow, "standalone"], environment, log) as process:
            wait_until_up(f"http://localhost:{port}", process, log)
            password = json.loads((home / PASSWORDS).read_text(encoding="utf-8"))["admin"]
            print(
                f"""
Airflow      http://localhost:{port}
             user admin, password {password}
             start the DAG exposure_nightly there; its Security Hub and AWS are the embedded ones
AWS          {aws.endpoint_url} (embedded; organisation {organization.name}, night {night})
lake         {lake}
Data Docs    {lake / "data_docs"} (after a run's gate)
log          {log}

Ctrl-C stops everything.""",
                flush=True,
            )
            process.wait()
            raise RuntimeError(f"Airflow ended (exit code {process.returncode}); read {log}")


def interrupt(number: int, frame: FrameType | None) -> None:
    # A second Ctrl-C must not cut the clean-up short.
    for each in STOP_SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    raise Interrupted


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--organization", type=Path, default=ROOT / "examples" / "sample_org")
    parser.add_argument("--state", type=Path, default=ROOT / ".state" / "airflow-up", help="everything it writes")
    parser.add_argument("--night", type=int, default=1, help="the organisation's night to play")
    parser.add_argument("--port", type=int, default=8080, help="the UI's port; another when it is taken")
    arguments = parser.parse_args()
    for number in STOP_SIGNALS:
        signal.signal(number, interrupt)
    try:
        run(arguments.organization.resolve(), arguments.state.resolve(), arguments.night, arguments.port)
    except Interrupted:
        print("stopped", flush=True)
        return 0
    except RuntimeError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
