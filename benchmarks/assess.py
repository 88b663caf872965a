"""Assessing a large day: seconds and memory of `assess`, in a process of its own, on a synthetic organisation.

    PYTHONPATH=plugins:examples python benchmarks/assess.py --services 20000 --vulnerabilities 1000000 [--check]

Three measurements: the first day; the next day with the same data (changes and what was known before are worked out
too); and that next day again after a change of the rules, which assesses the day before once more in memory.
Beside them, what DuckDB takes to read every value of the same Parquet once: the least anything could take.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from measured import Children, Limits, in_child, usage

FIRST = date(2026, 1, 1)
LIMITS = {(20_000, 1_000_000): (30, 2048), (100_000, 5_000_000): (60, 6144)}
"""Seconds and MiB at most, by services and image findings."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--services", type=int, default=20_000)
    parser.add_argument("--vulnerabilities", type=int, default=1_000_000, help="image findings; 250 a digest")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--models", type=int, default=8, help="how many of the slowest models to name")
    parser.add_argument("--first-day-only", action="store_true")
    parser.add_argument("--lake", help="keep the lake in this folder; one that holds the days already is used as it is")
    parser.add_argument("--check", action="store_true", help="exit 1 when the first day exceeds its LIMITS")
    parser.add_argument("--job", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.job:
        return _child(json.loads(arguments.job))
    with tempfile.TemporaryDirectory(prefix="assess-") as folder:
        return _measure(arguments, Path(folder))


def _measure(arguments: argparse.Namespace, folder: Path) -> int:
    from ecs_exposure.lake import Lake
    from ecs_exposure.settings import load
    from rich.console import Console
    from rich.table import Table
    from synthetic_day import SyntheticDay

    console = Console(width=None if sys.stdout.isatty() else 120)
    days = [FIRST] if arguments.first_day_only else [FIRST, FIRST + timedelta(days=1)]
    location = arguments.lake or str(folder / "lake")
    began = time.perf_counter()
    with Lake.open(location, create=True) as lake:
        missing = [day for day in days if day not in lake.snapshot_days()]
        synthetic = SyntheticDay(arguments.services, arguments.vulnerabilities, arguments.seed)
        for day in missing:
            synthetic.write(lake, day)
    console.print(
        f"{arguments.services:,} services in {len(synthetic.accounts)} accounts, {synthetic.digests:,} digests with "
        f"{arguments.vulnerabilities:,} image findings; {len(missing)} day(s) written in "
        f"{time.perf_counter() - began:.0f} s (not measured)"
    )
    shipped = load(lake=location).sql
    changed = folder / "sql"
    shutil.copytree(shipped, changed)
    trait = changed / "traits" / "host_network_mode.sql"
    trait.write_text(trait.read_text(encoding="utf-8") + "\n-- another version of the rules\n", encoding="utf-8")
    jobs = [("first day", days[0], shipped)]
    if len(days) > 1:
        jobs += [("next day, same data", days[1], shipped), ("next day, rules changed", days[1], changed)]
    runs = {name: in_child(__file__, _job(location, day, sql), dict(os.environ)) for name, day, sql in jobs}
    once = in_child(__file__, {"scan": location, "day": str(days[0])}, dict(os.environ))

    limits = Limits()
    table = Table("", *runs, title="assess, in a process of its own, imports included")
    first = next(iter(runs))
    max_seconds, max_mib = LIMITS.get((arguments.services, arguments.vulnerabilities), (None, None))
    is_stated = max_seconds is not None
    for label, figure, limit, unit in (("wall", "wall", max_seconds, "s"), ("CPU", "cpu", None, "s"),
                                       ("peak RSS", "rss", max_mib, "MiB")):  # fmt: skip
        table.add_row(
            label,
            *(
                limits.note(f"{name} {label}", run[figure], limit, unit)
                if limit and name == first and is_stated
                else f"{run[figure]:,.1f} {unit}"
                for name, run in runs.items()
            ),
        )
    slowest = sorted(runs[first]["seconds"], key=runs[first]["seconds"].__getitem__, reverse=True)
    for model in slowest[: arguments.models]:
        table.add_row(model, *(f"{run['seconds'][model]:.2f} s" for run in runs.values()))
    table.add_row("all models", *(f"{sum(run['seconds'].values()):.2f} s" for run in runs.values()))
    console.print(table)
    console.print(
        f"one full scan of the first day's Parquet: {once['scan']:.1f} s for {once['rows']:,} rows; "
        f"the first day takes {runs[first]['wall'] / once['scan']:.0f} times as long"
    )

    results = Table("result", *runs, title="rows")
    for name in sorted({name for run in runs.values() for name in run["rows"]}):
        results.add_row(name, *(f"{run['rows'].get(name, 0):,}" for run in runs.values()))
    console.print(results)
    traits = Table("trait", "services hit", title="first day")
    for trait_name, count in runs[first]["traits"].items():
        traits.add_row(trait_name, f"{count:,}")
    console.print(traits)
    console.print("severities: " + ", ".join(f"{name} {count:,}" for name, count in runs[first]["exposures"].items()))
    for name, run in list(runs.items())[1:]:
        console.print(f"changes, {name}: {run['changes'] or 'none'}")
    never = [name for name, count in runs[first]["traits"].items() if not count]
    if never and is_stated:
        limits.missed.append(f"traits that nothing hit: {', '.join(never)}")
    for what in limits.missed:
        console.print(f"[red]missed: {what}[/red]")
    return 1 if arguments.check and limits.missed else 0


def _job(location: str, day: date, sql: Path) -> dict[str, Any]:
    return {"lake": location, "day": str(day), "sql": str(sql)}


def _scan(job: dict[str, Any]) -> int:
    """Every value of every row of a day's Parquet, read once."""
    import duckdb

    connection = duckdb.connect()
    began, rows = time.perf_counter(), 0
    for folder in sorted(Path(job["scan"]).glob(f"snapshots/*/snapshot_date={job['day']}")):
        found = f"read_parquet('{folder}/*.parquet', union_by_name = true)"
        ((count, _),) = connection.execute(f"select count(*), bit_xor(hash(row)) from {found} as row").fetchall()
        rows += count
    print(json.dumps({"scan": time.perf_counter() - began, "rows": rows}))
    return 0


def _child(job: dict[str, Any]) -> int:
    if "scan" in job:
        return _scan(job)
    from ecs_exposure.assessing import assess
    from ecs_exposure.lake import Lake
    from ecs_exposure.settings import load

    children = Children()
    day = date.fromisoformat(job["day"])
    settings = load(lake=job["lake"], sql=Path(job["sql"]), organization_account_id="100000000000")
    with Lake.open(job["lake"]) as lake:
        summary = assess(settings, lake, day)
        spent = usage(children)  # before the counting below
        import duckdb
        from ecs_exposure.models import trait_texts
        from ecs_exposure.schemas.results import RESULTS

        connection = duckdb.connect()
        lake.attach_results(connection, day, "result")
        names = [name for name in RESULTS if name != "publication"]
        rows = {name: connection.execute(f"select count(*) from result.{name}").fetchall()[0][0] for name in names}
        hits = dict(
            connection.sql("select trait, count(*) from result.trait_hit where state = 'hit' group by trait").fetchall()
        )
    print(
        json.dumps(
            spent
            | {
                "seconds": summary.seconds,
                "exposures": summary.exposures,
                "changes": summary.changes,
                "rows": rows,
                "traits": {text.trait: hits.get(text.trait, 0) for text in trait_texts(settings.sql)},
            }
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
