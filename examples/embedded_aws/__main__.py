"""Run a command against an embedded AWS, or serve one.

    python -m embedded_aws run --organization DIR --state DIR [--night N] -- COMMAND ARGS…
    python -m embedded_aws serve --organization DIR [--state DIR] [--night N] [--host HOST] [--port PORT]

Without --night, `run` plays the night after the last one whose command succeeded (kept in the state folder).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from embedded_aws.server import EmbeddedAws, write_atomically

_FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_GRACE_SECONDS = 10.0


def next_night(state: Path) -> int:
    """The night after the last one that was run to success with this state folder."""
    path = state / "night.json"
    return int(json.loads(path.read_text(encoding="utf-8"))["night"]) + 1 if path.exists() else 1


def run(command: Sequence[str], organization: Path, state: Path, night: int | None = None) -> int:
    """Run `command` with an embedded AWS in its environment; its exit code (128 + n after signal n).

    Signals are forwarded to the command's process group, and nothing of that group outlives this call.
    """
    night = next_night(state) if night is None else night
    with EmbeddedAws(organization, night, state) as aws:
        child = subprocess.Popen(command, env=os.environ | aws.environ(), start_new_session=True)
        with _forwarding(child.pid):
            code = child.wait()
        _end_group(child.pid)
    code = 128 - code if code < 0 else code
    if code == 0:
        write_atomically(state / "night.json", json.dumps({"night": night}))
    return code


@contextlib.contextmanager
def _forwarding(group: int) -> Iterator[None]:
    def forward(number: int, _: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(group, number)

    if threading.current_thread() is not threading.main_thread():  # only the main thread may set handlers
        yield
        return
    before = {number: signal.signal(number, forward) for number in _FORWARDED}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end_group(group: int) -> None:
    """End what the command left running: politely, then for certain."""
    for number, patience in ((signal.SIGTERM, _GRACE_SECONDS), (signal.SIGKILL, 1.0)):
        deadline = time.monotonic() + patience
        try:
            os.killpg(group, number)
            while time.monotonic() < deadline:
                os.killpg(group, 0)
                time.sleep(0.05)
        except ProcessLookupError:
            return


def serve(
    organization: Path | None, state: Path | None = None, night: int = 1, host: str = "127.0.0.1", port: int = 0
) -> None:
    """Serve until SIGINT or SIGTERM; print the environment as shell exports once it is up."""
    stopped = threading.Event()
    for number in _FORWARDED:
        signal.signal(number, lambda *_: stopped.set())
    with EmbeddedAws(organization, night, state, host=host, port=port) as aws:
        for name, value in aws.environ().items():
            print(f"export {name}={shlex.quote(value)}")
        sys.stdout.flush()
        stopped.wait()


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m embedded_aws", description="An AWS organisation on a local port.")
    commands = parser.add_subparsers(dest="command", required=True)
    running = commands.add_parser("run", help="run a command against it")
    serving = commands.add_parser("serve", help="serve until stopped, print the exports")
    for each in (running, serving):
        each.add_argument("--organization", type=Path, required=each is running, help="folder of its YAML")
        each.add_argument("--state", type=Path, required=each is running, help="folder kept between runs")
        each.add_argument("--night", type=int, help="night to play (default: the next one; serve: 1)")
    serving.add_argument("--host", default="127.0.0.1")
    serving.add_argument("--port", type=int, default=0, help="0 takes a free one")
    running.add_argument("child", nargs=argparse.REMAINDER, metavar="-- COMMAND ARGS…")
    given = parser.parse_args(arguments)
    if given.command == "serve":
        serve(given.organization, given.state, given.night or 1, given.host, given.port)
        return 0
    child = given.child[1:] if given.child[:1] == ["--"] else given.child
    if not child:
        running.error("no command given after --")
    return run(child, given.organization, given.state, given.night)


if __name__ == "__main__":
    sys.exit(main())
