"""Runs a function in a process of its own and says what it cost."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

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


class Children:
    """Peak resident MiB of the processes that this one starts, sampled: they are gone when it ends."""

    def __init__(self) -> None:
        self.peak = 0.0
        threading.Thread(target=self._sample, daemon=True).start()

    def _sample(self) -> None:
        me = psutil.Process()
        while True:
            total = 0
            for child in me.children(recursive=True):
                with suppress(psutil.NoSuchProcess):
                    total += child.memory_info().rss
            self.peak = max(self.peak, total / 2**20)
            time.sleep(0.1)


def usage(children: Children | None = None) -> dict[str, float]:
    """CPU seconds and peak resident MiB of this process so far, its children's added; the child calls it last.

    VmHWM and not ru_maxrss: the latter starts at the size of the parent that was forked.
    """
    used = resource.getrusage(resource.RUSAGE_SELF)
    theirs = resource.getrusage(resource.RUSAGE_CHILDREN)
    status = Path("/proc/self/status")
    peak = used.ru_maxrss / (1024 * 1024 if sys.platform == "darwin" else 1024)
    if status.exists():
        peak = next(int(line.split()[1]) for line in status.read_text().splitlines() if line.startswith("VmHWM")) / 1024
    cpu = sum(item.ru_utime + item.ru_stime for item in (used, theirs))
    return {"cpu": cpu, "rss": peak + (children.peak if children else 0)}


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
