"""What the scanner reads: one module per AWS service, generators of rows; the tuple COLLECTORS lists them all, in
order.

Adding a collector: its datasets in schemas/snapshots.py, one generator function, one line in COLLECTORS, one recorded
payload in tests/. Discovery (organizations.py) and the second wave (images.py) have their own functions: both look
past one target.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime

from ecs_exposure.aws import GLOBAL, AwsAccess
from ecs_exposure.aws_errors import AWS_ERRORS, bounded, classify, reading
from ecs_exposure.collectors import (
    apigateway,
    cloudfront,
    ec2,
    ecs,
    elb,
    elbv2,
    globalaccelerator,
    iam,
    task_definitions,
)
from ecs_exposure.collectors.base import Collector, Context, Known, Row, Target
from ecs_exposure.settings import Settings

__all__ = [
    "COLLECTORS",
    "GLOBAL_DATASETS",
    "IMAGE_DATASETS",
    "REGION_DATASETS",
    "Collector",
    "Context",
    "Target",
    "TargetResult",
    "collect_target",
]

COLLECTORS: tuple[Collector, ...] = (
    ecs.SERVICES,
    ecs.TASKS,
    ecs.CONTAINER_INSTANCES,
    task_definitions.DEFINITIONS,
    *ec2.COLLECTORS,
    *elbv2.COLLECTORS,
    elb.CLASSIC_LOAD_BALANCERS,
    apigateway.VPC_LINKS,
    iam.ROLES,
    cloudfront.VPC_ORIGINS,
    globalaccelerator.ENDPOINTS,
)
REGION_DATASETS = tuple(name for item in COLLECTORS if item.scope == "region" for name in item.datasets)
GLOBAL_DATASETS = tuple(name for item in COLLECTORS if item.scope == "global" for name in item.datasets)
IMAGE_DATASETS = ("registry_scanning", "image", "image_coverage", "image_finding", "vulnerability_detail")

_NOTHING_KNOWN: Known = {}


@dataclass
class TargetResult:
    """A target's rows by dataset, and its coverage rows (schemas.results.COVERAGE without snapshot_date and file)."""

    target: Target
    rows: dict[str, list[Row]]
    coverage: list[Row]


def collect_target(
    access: AwsAccess,
    settings: Settings,
    target: Target,
    *,
    snapshot_date: date,
    skip: frozenset[str] = frozenset(),
    known_definitions: Known = _NOTHING_KNOWN,
    fingerprint_key: bytes,
) -> TargetResult:
    """Everything the target's collectors see, each all or nothing; never raises for what AWS answers.

    `skip` names datasets already committed: their collectors run again only where another needs their rows, and are
    not reported. A collector that fails leaves no rows and coverage denied, not_enabled, excluded or failed for its
    datasets; those that need its rows follow. If the role cannot be assumed, that is said once for all.
    """
    context = Context(access, settings, target, snapshot_date, known_definitions, fingerprint_key)
    scope = "global" if target.region == GLOBAL else "region"
    collectors = [item for item in COLLECTORS if item.scope == scope]
    wanted = [item for item in collectors if not skip.issuperset(item.datasets)]
    coverage: list[Row] = []
    try:
        access.assume(target.account_id)
    except AWS_ERRORS as error:
        status, message = classify(error)
        coverage = [_unseen(target, name, status, message, 0) for item in wanted for name in item.datasets]
        return TargetResult(target, {}, [row for row in coverage if row["dataset"] not in skip])
    services = {name for item in collectors for name in (item.service, *item.also)}
    counted = {name: access.calls(target.account_id, target.region, name) for name in services}
    failures: dict[str, tuple[str, str]] = {}
    for item in _with_needs(collectors, wanted):
        _run(item, context, failures)
        if item not in wanted:
            continue  # its calls are counted with the next collector of the service, for whose sake they were made
        spent = 0
        for name in (item.service, *item.also):
            calls = access.calls(target.account_id, target.region, name)
            spent, counted[name] = spent + calls - counted[name], calls
        for name in item.datasets:
            coverage.append(_covered(context, name, failures, spent))
            spent = 0
    rows = {name: context.rows[name] for item in wanted for name in item.datasets if context.rows.get(name)}
    return TargetResult(
        target,
        {name: found for name, found in rows.items() if name not in skip},
        [row for row in coverage if row["dataset"] not in skip],
    )


def _with_needs(collectors: list[Collector], wanted: list[Collector]) -> list[Collector]:
    """The wanted collectors and those whose rows they need or use, in order."""
    names = {name for item in wanted for name in (*item.datasets, *item.needs, *item.uses)}
    for item in reversed(collectors):  # a collector only ever needs earlier ones
        if not names.isdisjoint(item.datasets):
            names.update((*item.needs, *item.uses))
    return [item for item in collectors if not names.isdisjoint(item.datasets)]


def _run(item: Collector, context: Context, failures: dict[str, tuple[str, str]]) -> None:
    for need in item.needs:
        if need in failures:
            status, message = failures[need]
            for name in item.datasets:
                failures[name] = (status, bounded(f"{name} needs {need}, which was not seen: {message}"))
            return
    rows: dict[str, list[Row]] = {name: [] for name in item.datasets}
    try:
        with reading(item.name):
            for dataset, row in item.collect(context):
                rows[dataset].append(row)
    except AWS_ERRORS as error:
        failure = classify(error)
        failures.update(dict.fromkeys(item.datasets, failure))
        return
    context.rows.update(rows)


def _covered(context: Context, name: str, failures: Mapping[str, tuple[str, str]], calls: int) -> Row:
    if name in failures:
        return _unseen(context.target, name, *failures[name], calls)
    notes = context.notes.get(name)
    return {
        **_unseen(context.target, name, "ok", bounded("; ".join(notes)) if notes else None, calls),
        "rows": len(context.rows[name]),
        "observed_date": context.snapshot_date,
    }


def _unseen(target: Target, dataset: str, status: str, message: str | None, calls: int) -> Row:
    return {
        "account_id": target.account_id,
        "region": target.region,
        "dataset": dataset,
        "status": status,
        "rows": None,
        "api_calls": calls,
        "message": message,
        "collected_at": datetime.now(UTC),
        "observed_date": None,
    }
