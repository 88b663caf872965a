"""Judging variables: how many a second on one core, harmless ones, credentials, and values made to be slow.

    PYTHONPATH=plugins:examples python benchmarks/credentials.py [--check]

Variables are those of tests/accuracy/credentials.yaml. Hostile values are 64 KiB each, the largest a task definition
can be.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

ROOT = Path(__file__).parents[1]
LEAST_A_SECOND = 20_000
LARGEST = 64 * 1024

Pair = tuple[str, str]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3.0, help="how long each kind is judged")
    parser.add_argument("--check", action="store_true", help=f"exit 1 below {LEAST_A_SECOND:,} variables a second")
    arguments = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    from ecs_exposure.collectors.credentials import judge
    from rich.console import Console
    from rich.table import Table

    from tests.accuracy.test_credential_accuracy import cases
    from tests.collectors.test_credential_sources import HOSTILE

    harmless = [(name, value) for _, name, value, is_credential in cases() if not is_credential]
    credentials = [(name, value) for _, name, value, is_credential in cases() if is_credential]
    rate = _rate(judge, [*harmless, *credentials], arguments.seconds)
    table = Table("variables", "a second", title="one core")
    table.add_row("all of them", f"{rate:,.0f} (at least {LEAST_A_SECOND:,})")
    table.add_row("harmless", f"{_rate(judge, harmless, arguments.seconds):,.0f}")
    table.add_row("credentials", f"{_rate(judge, credentials, arguments.seconds):,.0f}")
    slowest: tuple[float, str] = (float("inf"), "")
    for kind, text in HOSTILE.items():
        value = (text * (LARGEST // len(text) + 1))[:LARGEST]
        slowest = min(slowest, (_rate(judge, [("DB_PASSWORD", value), ("NOTE", value)], arguments.seconds / 20), kind))
    table.add_row(f"hostile, 64 KiB each, the slowest kind ({slowest[1]})", f"{slowest[0]:,.0f}")
    table.add_row("the same in MiB", f"{slowest[0] / 16:,.1f}")
    Console(width=None if sys.stdout.isatty() else 120).print(table)
    return 1 if arguments.check and rate < LEAST_A_SECOND else 0


def _rate(judge: Callable[[str, str], object], pairs: Iterable[Pair], seconds: float) -> float:
    pairs = list(pairs)
    judged, began = 0, time.process_time()
    while time.process_time() - began < seconds:
        for name, value in pairs:
            judge(name, value)
        judged += len(pairs)
    return judged / (time.process_time() - began)


if __name__ == "__main__":
    sys.exit(main())
