"""The weekly message on a large lake: seconds and memory of `digest`, in a process of its own.

    PYTHONPATH=plugins:examples python benchmarks/digest.py --exposures 100000 --days 90 [--check]

Writes a made-up history (not measured): so many exposures of 200 owners a day, one in fifty overdue, and each day one
in two hundred opened, as many worse, as many resolved. Then asks for a week of all owners, of one, and for all days.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import duckdb
import pyarrow as pa
from measured import Limits, in_child, usage

MAX_SECONDS = 4  # of CPU: what else runs on the machine does not count
LAST = date(2026, 11, 23)
OWNERS = 200
EVERY = 200  # of so many services one opens, one worsens and one is resolved each day

_SERVICE = f"""
    $day as snapshot_date, (111100000000 + number // 100)::varchar as account_id, 'eu-west-1' as region,
    'arn:aws:ecs:eu-west-1:' || (111100000000 + number // 100) || ':service/main/service-' || number as resource_id,
    'main' as cluster_name, 'service-' || number as service_name, 'account-' || number // 100 as account_name,
    '/Workloads' as ou_path, 'team-' || number // 7 % {OWNERS} as owner"""

# Service n is away on the days on which (n + day) % EVERY is 0, and CRITICAL from half that cycle on.
_EXPOSURE = f"""
select {_SERVICE},
    if((number + $index) % {EVERY} > {EVERY // 2}, 'CRITICAL', 'HIGH') as severity,
    'High' as likelihood, 'High' as impact,
    'CVE-2026-' || number % 5000 as driver, 70 + number % 30 as score, 'DIRECT' as reachability, true as is_exposed,
    false as is_minimum, ['open_security_group', 'public_ip'] as traits, [] as unknown_traits, false as is_dormant,
    number % 1000 = 7 as is_carried, $day as observed_date, $day - 100 as first_observed_date,
    if(number % 50 = 0, $day - 3, $day + 20) as due_date, 'service-' || number || ' is exposed' as title,
    [] as task_definition_arns
from range($services) as service(number)
where (number + $index) % {EVERY} <> 0"""
_CHANGE = f"""
select {_SERVICE},
    ['resolved', 'opened', 'worsened'][1 + kind] as change, 'estate' as cause,
    ['CRITICAL', null, 'HIGH'][1 + kind] as severity_before, [null, 'HIGH', 'CRITICAL'][1 + kind] as severity_after,
    [] as traits_added, [] as traits_removed
from (
    select number, list_position([0, 1, {EVERY // 2 + 1}], (number + $index) % {EVERY}) - 1 as kind
    from range($services) as service(number)
)
where kind is not null and $index > 0"""
_FIX = f"""
select * from (
    select {_SERVICE}, 'trait' as removed_kind, 'trait-' || rank as removed,
        'Narrow the security group of service-' || number as description,
        'HIGH' as severity_before, 'LOW' as severity_after, 80 as score_before, 20 + rank as score_after, rank
    from range($services) as service(number), range(1, 6) as ranks(rank)
)"""
_FINDING = f"""
select {_SERVICE}, 'ecs-exposure/aws/' || number as finding_id, 'hash' as content_hash, 'HIGH' as severity
from range($services) as service(number)"""
_COVERAGE = """
select $day as snapshot_date, (111100000000 + number)::varchar as account_id, 'eu-west-1' as region,
    'service' as dataset, if(number % 50 = 3, 'denied', 'ok') as status, 1 as api_calls,
    $day::timestamptz as collected_at
from range($services // 100) as account(number)"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--exposures", type=int, default=100_000)
    parser.add_argument("--days", type=int, default=90)
    parser.add_argument("--check", action="store_true", help=f"exit 1 when a week takes over {MAX_SECONDS} CPU-seconds")
    parser.add_argument("--job", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.job:
        return _child(json.loads(arguments.job))
    from rich.console import Console
    from rich.table import Table

    limits = Limits()
    table = Table("message", "owners", "rows", "wall", "CPU", "peak RSS", title="digest, imports included")
    with tempfile.TemporaryDirectory() as folder:
        _write(folder, arguments.exposures, arguments.days)
        for name, job, limit in (
            ("a week, all owners, 20 a list", {"days": 7, "limit": 20}, MAX_SECONDS),
            ("a week, all owners, JSON", {"days": 7, "form": "json"}, MAX_SECONDS),
            ("a week, one owner", {"days": 7, "limit": 20, "owners": ["team-1"]}, MAX_SECONDS),
            (f"{arguments.days} days, all owners, 20 a list", {"days": arguments.days, "limit": 20}, None),
        ):
            run = in_child(
                __file__, {"lake": folder, "owners": [], "limit": None, "form": "text"} | job, dict(os.environ)
            )
            table.add_row(
                name, f"{run['owners']:,}", f"{run['rows']:,}", f"{run['wall']:.1f} s",
                limits.note(name, run["cpu"], limit, "s"), f"{run['rss']:,.0f} MiB",
            )  # fmt: skip
    Console(width=None if sys.stdout.isatty() else 120).print(table)
    return 1 if arguments.check and limits.missed else 0


def _write(folder: str, services: int, days: int) -> None:
    """`days` assessed days up to LAST."""
    from ecs_exposure.databases import create_empty
    from ecs_exposure.lake import Lake
    from ecs_exposure.schemas.results import RESULTS

    selects = {
        "coverage": _COVERAGE, "exposure": _EXPOSURE, "change": _CHANGE, "finding": _FINDING, "fix": _FIX,
    }  # fmt: skip
    with Lake.open(folder, create=True) as lake, duckdb.connect() as connection:
        create_empty(connection, "empty", {name: RESULTS[name] for name in selects})
        for index in range(days):
            day = LAST - timedelta(days=days - 1 - index)
            wanted = {"day": day, "index": index, "services": services}

            def tables(wanted: dict[str, Any] = wanted) -> Iterator[tuple[str, pa.Table]]:
                for name, select in selects.items():
                    if name == "fix" and wanted["day"] != LAST:
                        continue  # of a past day nobody asks for fixes
                    columns = ", ".join(RESULTS[name].column_names)
                    given = {key: value for key, value in wanted.items() if f"${key}" in select}
                    query = f"select {columns} from (select * from empty.{name} union all by name {select})"
                    rows = connection.sql(query, params=given).to_arrow_table()
                    yield name, rows.cast(RESULTS[name].schema)

            lake.commit_day(day, "run", "rules", tables())


def _child(job: dict[str, Any]) -> int:
    import io

    from ecs_exposure.digest import digest
    from ecs_exposure.digest_page import print_text, record
    from ecs_exposure.lake import Lake
    from ecs_exposure.output import print_json

    with Lake.open(job["lake"]) as lake:
        told = digest(lake, lake.days()[-1], job["days"], job["owners"], job["limit"])
    out = io.StringIO()
    if job["form"] == "json":
        print_json(record(told), out)
    else:
        print_text(told, out)
    print(json.dumps(usage() | {"owners": len(told.owners), "rows": sum(1 for _ in told.rows())}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
