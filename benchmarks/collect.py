"""Collecting one busy account: AWS calls, seconds and memory of the collector, without Airflow, over real HTTP.

    PYTHONPATH=plugins:examples python benchmarks/collect.py --services 1000 [--check] [--rate-share 1]

The embedded AWS holds one account and Region with as many services and task definition families, 4 clusters,
5 repositories and 2 load balancers. Two nights are collected (the second finds nothing changed), each in a process of
its own: plan, collect, plan images, collect images, gate; and again into another lake with every validation left out,
which is what the collectors alone need.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any

from measured import Limits, in_child, usage

LIMITS_ARE_FOR = 1000
CALLS = {1: 1.15, 2: 0.15}
MAX_MIB = {True: 400, False: 250}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--services", type=int, default=1000, help="services, each with a family of its own")
    parser.add_argument(
        "--rate-share", type=float, default=1.0, help="share of AWS's rates (the product's default is 0.5)"
    )
    parser.add_argument("--check", action="store_true", help="exit 1 when a stated limit is missed")
    parser.add_argument("--job", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.job:
        return _child(json.loads(arguments.job))
    with tempfile.TemporaryDirectory(prefix="collect-") as folder:
        return _measure(arguments, Path(folder))


def _measure(arguments: argparse.Namespace, folder: Path) -> int:
    from embedded_aws import EmbeddedAws
    from embedded_aws.organization import sample_settings
    from embedded_org import write_organization
    from rich.console import Console
    from rich.table import Table

    console = Console(width=None if sys.stdout.isatty() else 120)
    organization = write_organization(folder / "organization", arguments.services)
    runs: dict[tuple[int, bool], dict[str, Any]] = {}
    calls: dict[tuple[int, bool], Counter[tuple[str, str]]] = {}
    with EmbeddedAws(organization) as aws:
        for night in (1, 2):
            if night > 1:
                aws.advance_to(night)
            settings = sample_settings(organization) | {"ECS_EXPOSURE_RATE_SHARE": str(arguments.rate_share)}
            environ = dict(os.environ) | settings | aws.environ()
            for gated in (True, False):
                job = {"lake": str(folder / f"lake-{gated}"), "day": str(aws.today), "gated": gated}
                before = _counted(aws.calls)
                runs[night, gated] = in_child(__file__, job | {"stage": "collect"}, environ)
                calls[night, gated] = _counted(aws.calls) - before
                # The next night knows the definitions of the last assessed day; assessing calls nothing.
                in_child(__file__, job | {"stage": "assess"}, environ)

    limits = Limits()
    is_stated = arguments.services == LIMITS_ARE_FOR
    columns = [f"night {night}, {'with' if gated else 'without'} gate" for night, gated in runs]
    table = Table("", *columns, title=f"{arguments.services:,} services, rate share {arguments.rate_share:g}")
    table.add_row("wall", *(f"{run['wall']:.1f} s" for run in runs.values()))
    table.add_row("CPU", *(f"{run['cpu']:.1f} s" for run in runs.values()))
    cells = []
    for (night, gated), run in runs.items():
        limit = MAX_MIB[gated] if is_stated else None
        what = f"night {night} peak RSS {'with' if gated else 'without'} gate"
        cells.append(limits.note(what, run["rss"], limit, "MiB"))
    table.add_row("peak RSS", *cells)
    cells = []
    for (night, _), counted in calls.items():
        per_service = sum(count for (service, _), count in counted.items() if service == "ecs") / arguments.services
        limit = CALLS[night] if is_stated else None
        cells.append(limits.note(f"night {night} ECS calls a service", per_service, limit, ""))
    table.add_row("ECS calls a service", *cells)
    table.add_row("rows", *(f"{run['rows']:,}" for run in runs.values()))
    table.add_row("coverage", *(", ".join(f"{k} {v}" for k, v in run["statuses"].items()) for run in runs.values()))
    console.print(table)
    operations = Table("calls", *columns)
    operations.columns[0].no_wrap = True
    for service, operation in sorted({key for counted in calls.values() for key in counted}):
        operations.add_row(
            f"{service}:{operation}", *(f"{counted[service, operation]:,}" for counted in calls.values())
        )
    console.print(operations)
    for key, run in runs.items():
        if set(run["statuses"]) - {"ok", "not_enabled"}:  # the organisation has no service control policies
            limits.missed.append(f"night {key[0]}: not everything was seen: {run['statuses']}")
    for what in limits.missed:
        console.print(f"[red]missed: {what}[/red]")
    return 1 if arguments.check and limits.missed else 0


def _counted(calls: Counter[tuple[str, str, str, str]]) -> Counter[tuple[str, str]]:
    counted: Counter[tuple[str, str]] = Counter()
    for (_, _, service, operation), count in calls.copy().items():
        counted[service, operation] += count
    return counted


def _child(job: dict[str, Any]) -> int:
    from ecs_exposure.lake import Lake
    from ecs_exposure.settings import load

    settings, day = load(lake=job["lake"]), date.fromisoformat(job["day"])
    with Lake.open(job["lake"], create=True) as lake:
        if job["stage"] == "assess":
            from ecs_exposure.assessing import assess

            assess(settings, lake, day)
            print("{}")
            return 0
        from ecs_exposure import collecting, expectations
        from ecs_exposure.aws import AwsAccess

        if not job["gated"]:
            # Great Expectations is imported by the first validation; without one the collectors stand alone.
            expectations.offending_targets = lambda dataset, rows: {}
        access = AwsAccess(settings)
        for batch in collecting.plan(settings, access, lake, day):
            collecting.collect(settings, access, lake, day, batch)
        for batch in collecting.plan_images(settings, lake, day):
            collecting.collect_image_batch(settings, access, lake, day, batch)
        if job["gated"]:
            collecting.gate(settings, lake, day)
        if ("great_expectations" in sys.modules) != job["gated"]:
            raise RuntimeError("Great Expectations must be imported with the gate, and only then")
        spent = usage()
        coverage = lake.coverage(day).to_pylist()
    statuses = Counter(row["status"] for row in coverage)
    print(json.dumps(spent | {"statuses": statuses, "rows": sum(row["rows"] or 0 for row in coverage)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
