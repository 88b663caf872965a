"""What to fix first on a large assessed day: seconds and memory of `fix-first`, in a process of its own.

    PYTHONPATH=plugins:examples python benchmarks/assess.py --services 100000 --vulnerabilities 5000000 --lake FOLDER
    PYTHONPATH=plugins:examples python benchmarks/fix_first.py --lake FOLDER [--check]

Unfiltered (the stored plan), and by owner and by organisational unit (worked out from the stored outcomes).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from typing import Any

from measured import Limits, in_child, usage

MAX_SECONDS = 10


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lake", help="an assessed lake, as assess.py --lake leaves it")
    parser.add_argument("--owner", default="team-1")
    parser.add_argument("--ou", default="/Workloads")
    parser.add_argument("--check", action="store_true", help=f"exit 1 when one takes more than {MAX_SECONDS} s")
    parser.add_argument("--job", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.job:
        return _child(json.loads(arguments.job))
    if not arguments.lake:
        parser.error("say which assessed lake: --lake FOLDER")
    from rich.console import Console
    from rich.table import Table

    limits = Limits()
    table = Table("plan", "exposures", "changes", "wall", "CPU", "peak RSS", title="fix-first, imports included")
    for name, filters in (
        ("all", {}),
        (f"owner {arguments.owner}", {"owners": [arguments.owner]}),
        (f"OU {arguments.ou}", {"ous": [arguments.ou]}),
    ):
        run = in_child(__file__, {"lake": arguments.lake, "filters": filters}, dict(os.environ))
        table.add_row(
            name, f"{run['exposures']:,}", f"{run['changes']:,}", limits.note(name, run["wall"], MAX_SECONDS, "s"),
            f"{run['cpu']:.1f} s", f"{run['rss']:,.0f} MiB",
        )  # fmt: skip
    Console(width=None if sys.stdout.isatty() else 120).print(table)
    return 1 if arguments.check and limits.missed else 0


def _child(job: dict[str, Any]) -> int:
    from ecs_exposure.exposures import Filter
    from ecs_exposure.fix_first import fix_first
    from ecs_exposure.lake import Lake
    from ecs_exposure.settings import load

    with Lake.open(job["lake"]) as lake:
        told = fix_first(lake, lake.days()[-1], Filter(**job["filters"]), load(lake=job["lake"]).sql, 20)
    print(json.dumps(usage() | {"exposures": told.exposures, "changes": told.changes}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
