"""Collecting a registry with very many findings: findings a second and memory of the collecting process.

    PYTHONPATH=plugins:examples python benchmarks/findings.py --findings 200000 1000000 [--check]

The second wave of one account and Region, as a scan runs it (collector, validation, Parquet), over real HTTP from a
server of canned pages in a process of its own. Images carry 1,000 findings each, of 40,000 vulnerabilities. Inspector
publishes no rates, and the product's own careful ones would be all that was measured: here they are lifted. Memory
must stay where it is whatever the number of findings.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from canned_inspector import ACCOUNT, REGION, REPOSITORY, image_digest
from measured import Limits, in_child, usage

DAY = date(2026, 11, 2)
PER_IMAGE = 1000
MAX_MIB = 1024


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--findings", type=int, nargs="+", default=[200_000], help="findings, in turn")
    parser.add_argument("--vulnerabilities", type=int, default=40_000, help="distinct vulnerabilities among them")
    parser.add_argument("--page", type=int, default=25, help="findings in an answer (the API declares at most 25)")
    parser.add_argument("--check", action="store_true", help=f"exit 1 above {MAX_MIB} MiB")
    parser.add_argument("--job", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.job:
        return _child(json.loads(arguments.job))
    from rich.console import Console
    from rich.table import Table

    console, limits = Console(width=None if sys.stdout.isatty() else 120), Limits()
    table = Table("findings", "rows", "wall", "CPU", "findings/s", "peak RSS", title="the second wave of one registry")
    for findings in arguments.findings:
        run = _run(findings, arguments.vulnerabilities, arguments.page)
        table.add_row(
            f"{findings:,}", f"{run['rows']:,}", f"{run['wall']:.0f} s", f"{run['cpu']:.0f} s",
            f"{findings / run['wall']:,.0f}", limits.note(f"{findings:,} findings", run["rss"], MAX_MIB, "MiB"),
        )  # fmt: skip
    console.print(table)
    for what in limits.missed:
        console.print(f"[red]missed: {what}[/red]")
    return 1 if arguments.check and limits.missed else 0


def _run(findings: int, vulnerabilities: int, page: int) -> dict[str, Any]:
    job = {"per_image": PER_IMAGE, "vulnerabilities": vulnerabilities, "page": page}
    with tempfile.TemporaryDirectory(prefix="findings-") as folder, _served(job) as port:
        environ = dict(os.environ) | {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
            "AWS_ACCESS_KEY_ID": "AKIACANNED",
            "AWS_SECRET_ACCESS_KEY": "canned",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "NO_PROXY": "127.0.0.1",
        }
        return in_child(__file__, {"lake": folder, "images": max(1, findings // PER_IMAGE)}, environ)


@contextmanager
def _served(job: dict[str, Any]) -> Iterator[int]:
    """The port of a server of canned pages in a process of its own."""
    script = str(Path(__file__).with_name("canned_inspector.py"))
    with subprocess.Popen(
        [sys.executable, script, "--job", json.dumps(job)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        try:
            yield int(server.stdout.readline())
        finally:
            server.kill()


def _child(job: dict[str, Any]) -> int:
    from ecs_exposure import aws_operations, collecting
    from ecs_exposure.aws import AwsAccess
    from ecs_exposure.lake import Lake
    from ecs_exposure.settings import load

    rates: Any = aws_operations.OPERATIONS
    for service in ("ecr", "inspector2"):
        rates[service].update(dict.fromkeys(rates[service], aws_operations.Rate(1e9, 1e9)))
    settings = load(lake=job["lake"], organization_account_id=ACCOUNT, regions=(REGION,))
    with Lake.open(job["lake"], create=True) as lake:
        _first_wave(lake, job["images"])
        (batch,) = collecting.plan_images(settings, lake, DAY)
        collecting.collect_image_batch(settings, AwsAccess(settings), lake, DAY, batch)
        spent = usage()
        told = {row["dataset"]: row for row in lake.coverage(DAY).to_pylist()}
    for name in collecting.IMAGE_DATASETS:
        if told[name]["status"] != "ok":
            raise RuntimeError(f"{name}: {told[name]['status']}: {told[name]['message']}")
    print(json.dumps(spent | {"rows": told["image_finding"]["rows"]}))
    return 0


def _first_wave(lake: Any, images: int) -> None:
    """What the second wave reads of the first: containers that run so many images of one repository."""
    from ecs_exposure.collectors import REGION_DATASETS
    from ecs_exposure.schemas.snapshots import SNAPSHOTS

    own = {"account_id": ACCOUNT, "region": REGION, "observed_date": DAY}
    name = f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/{REPOSITORY}:1.0"
    rows = [
        own | {
            "task_arn": f"task-{number}", "resource_id": "service", "container_name": "web", "image": name,
            "image_digest": image_digest(number),
        }
        for number in range(images)
    ]  # fmt: skip
    writer = lake.writer(DAY, "first-wave")
    writer.write(SNAPSHOTS["task_container"], SNAPSHOTS["task_container"].to_arrow(rows))
    seen = {"account_id": ACCOUNT, "region": REGION, "status": "ok", "api_calls": 0, "observed_date": DAY}
    writer.commit(
        seen | {
            "dataset": dataset,
            "rows": len(rows) if dataset == "task_container" else 0,
            "collected_at": datetime.now(UTC),
            "file": writer.file if dataset == "task_container" else None,
        }
        for dataset in REGION_DATASETS
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
