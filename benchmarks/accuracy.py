"""How often the traits are right, on cases that nobody on this project wrote: cases, precision, recall, F1, every miss.

    PYTHONPATH=plugins:examples python benchmarks/accuracy.py --data FOLDER [--check] [--only TRAIT]

FOLDER holds labelled policies, environment pairs and peers' test cases; what a module below finds missing there is an
error, not a pass. Every case goes through the product as it ships: the collectors' functions, then sql/.
"""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from judged import Judged, Score, scores

# each offers judge(data: Path) -> Iterator[Judged]
MODULES = ("accuracy_permissions", "accuracy_credentials", "accuracy_peers")

FLOORS: dict[str, tuple[float | None, float | None]] = {
    "administrative access, all policies": (1.00, 1.00),
    "service administrative": (0.97, 0.97),
    "escalation paths": (None, 0.97),
    "cleartext_credentials": (0.92, 0.92),
    "peers' own cases": (1.0, 1.0),
}
"""Trait (as in Judged.trait) to the least precision and recall; None is not held."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the labelled cases")
    parser.add_argument("--only", help="only what has this in its name")
    parser.add_argument("--check", action="store_true", help="exit 1 when a floor is missed")
    arguments = parser.parse_args()
    if not arguments.data.is_dir():
        parser.error(f"{arguments.data} is not a folder")
    found = [score for score in scores(_judged(arguments.data)) if (arguments.only or "") in score.trait]
    missed = _print(found)
    return 1 if arguments.check and missed else 0


def _judged(data: Path) -> Iterator[Judged]:
    for name in MODULES:
        yield from importlib.import_module(name).judge(data)


def _print(found: Iterable[Score]) -> list[str]:
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    console = Console(width=None if sys.stdout.isatty() else 140)
    table = Table("what", "cases", "positive", "precision", "recall", "F1", "at least", title="accuracy")
    missed = []
    for score in found:
        precision, recall = FLOORS.get(score.trait, (None, None))
        floor = "" if precision is None and recall is None else f"{precision or '-'} / {recall or '-'}"
        is_missed = score.precision < (precision or 0) or score.recall < (recall or 0)
        if is_missed:
            missed.append(score.trait)
        table.add_row(
            score.trait, f"{score.cases:,}", f"{score.positive:,}", f"{score.precision:.3f}", f"{score.recall:.3f}",
            f"{score.f1:.3f}", f"[red]{floor}[/red]" if is_missed else floor,
        )  # fmt: skip
    console.print(table)
    for score in found:
        for item in score.wrong:
            word = "not found" if item.expected else "found, not expected"
            console.print(escape(f"{score.trait}: {item.case}: {word}{': ' + item.why if item.why else ''}"))
    return missed


if __name__ == "__main__":
    sys.exit(main())
