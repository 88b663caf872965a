"""Runs a function in a process of its own and says what it cost."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]


def in_child(script: str, job: dict[str, Any], environ: dict[str, str]) -> dict[str, Any]:
    """Run `python script --job JSON`, whose last line of output is JSON, and add `wall`.

    Seconds from its start to its end, imports included. Raises RuntimeError with the child's own error output
    when it fails.
    """
    began = time.perf_counter()
    done = subprocess.run(
        [sys.executable, script, "--job", json.dumps(job)], env=environ, capture_output=True, text=True, check=False
    )
    wall = time.perf_counter() - began
    if done.returncode:
        raise RuntimeError(f"{script} failed with {done.returncode} on {job}:\n{done.stderr[-4000:]}")
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer | {"wall": wall}


def usage() -> dict[str, float]:
    """CPU seconds and peak resident MiB of this process so far; the child calls it last.

    VmHWM and not ru_maxrss: the latter starts at the size of the parent that was forked.
    """
    used = resource.getrusage(resource.RUSAGE_SELF)
    status = Path("/proc/self/status")
    peak = used.ru_maxrss / (1024 * 1024 if sys.platform == "darwin" else 1024)
    if status.exists():
        peak = next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM")) / 1024
    return {"cpu": used.ru_utime + used.ru_stime, "rss": peak}


class Limits:
    """Figures beside what they must not exceed; collects what was missed."""

    def __init__(self) -> None:
        self.missed: list[str] = []

    def note(self, what: str, value: float, limit: float | None, unit: str) -> str:
        """A cell: the value and its limit if it has one; a missed one is remembered and marked."""
        shown = f"{value:,.3f}" if value < 10 else f"{value:,.0f}"
        if limit is None:
            return f"{shown} {unit}".rstrip()
        if value <= limit:
            return f"{shown} {unit} (limit {limit:,g})"
        self.missed.append(f"{what}: {shown} {unit}, limit {limit:,g}")
        return f"[red]{shown} {unit} (limit {limit:,g})[/red]"
