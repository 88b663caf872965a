"""What the DAGs' tasks do: read settings and the day, open the lake, call the product's function of the same name.

XCom carries batches (ids, accounts, Regions) and counts, never a row.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, date
from typing import Any

from airflow.sdk import get_current_context

from ecs_exposure.settings import load, parse_date
from ecs_exposure_airflow.progress import say

POOL = "ecs_exposure_lake"
"""One slot: the nightly scan and a reassessment never write results at the same time."""


def snapshot_date() -> date:
    """The run's configured `snapshot_date`, else the UTC date of its `run_after`: clearing a task keeps it."""
    context = get_current_context()
    configured = context["params"].get("snapshot_date")
    if configured:
        return parse_date(configured)
    return context["dag_run"].run_after.astimezone(UTC).date()


def is_last_try() -> bool:
    """Whether Airflow will not try this task again."""
    instance = get_current_context()["ti"]
    return bool(instance.try_number > (instance.max_tries or 0))


def _run(work: Callable[..., Any], *, needs_aws: bool = False, creates_lake: bool = False) -> Any:
    from ecs_exposure import scan

    settings = load()
    with scan.open_lake(settings, create=creates_lake) as lake:
        day = scan.day_to_scan(settings, lake, snapshot_date())
        if not needs_aws:
            return work(scan, settings, lake, day)
        from ecs_exposure_airflow.hooks import EcsExposureHook

        return work(scan, settings, EcsExposureHook().access(settings), lake, day)


def plan() -> list[dict[str, Any]]:
    """Batches of whole accounts."""
    batches = _run(lambda scan, *where: scan.plan(*where), needs_aws=True, creates_lake=True)
    say(f"{sum(len(batch['targets']) for batch in batches)} targets in {len(batches)} batches")
    return list(batches)


def collect(batch: dict[str, Any]) -> dict[str, Any]:
    """Statuses, rows and calls of one batch."""
    last = is_last_try()
    summary = _run(lambda scan, *where: scan.collect(*where, batch, is_last_try=last), needs_aws=True)
    accounts = len({account for account, _ in batch["targets"]})
    say(f"{batch['id']}: {accounts} accounts, {summary.rows} rows, {summary.api_calls} AWS calls{_not_ok(summary.statuses)}")
    return asdict(summary)


def plan_images() -> list[dict[str, Any]]:
    """One batch per Region that holds running images."""
    return list(_run(lambda scan, *where: scan.plan_images(*where)))


def collect_images(batch: dict[str, Any]) -> dict[str, Any]:
    """Statuses, rows and calls of one Region's images."""
    last = is_last_try()
    summary = _run(lambda scan, *where: scan.collect_image_batch(*where, batch, is_last_try=last), needs_aws=True)
    say(f"{batch['id']}: {summary.rows} rows, {summary.api_calls} AWS calls{_not_ok(summary.statuses)}")
    return asdict(summary)


def gate() -> dict[str, Any]:
    """What the gate saw."""
    summary = _run(lambda scan, *where: scan.gate(*where))
    say(f"gate: {summary.targets} targets, {summary.not_seen} datasets not seen, {summary.carried} carried over")
    return asdict(summary)


def assess() -> dict[str, int]:
    """Exposures by severity."""
    summary = _run(lambda scan, *where: scan.assess(*where))
    say(f"assessed {summary.snapshot_date}: " + ", ".join(f"{count} {name}" for name, count in summary.exposures.items()))
    return dict(summary.exposures)


def plan_publish() -> list[dict[str, Any]]:
    """Batches of (account, Region) that have something to be told."""
    return list(_run(lambda scan, *where: scan.plan_publish(*where)))


def publish(batch: dict[str, Any]) -> dict[str, Any]:
    """What came of one batch's findings."""
    counts = _run(lambda scan, *where: scan.publish_batch(*where, batch), needs_aws=True)
    return dict(counts)


def report() -> dict[str, Any]:
    """The night in numbers. Raises when there was something to send and nothing was sent."""
    outcome = _run(lambda scan, *where: scan.check_published(*where))
    say("Security Hub: " + (", ".join(f"{count} {name}" for name, count in outcome.items()) or "nothing to send"))
    return dict(outcome)


def reassess(since: str, until: str | None) -> list[str]:
    """The days assessed again."""
    from ecs_exposure import scan

    settings = load()
    with scan.open_lake(settings) as lake:
        done = scan.reassess(settings, lake, parse_date(since), parse_date(until) if until else None)
    return [str(summary.snapshot_date) for summary in done]


def _not_ok(statuses: dict[str, int]) -> str:
    told = ", ".join(f"{count} {status}" for status, count in sorted(statuses.items()) if status != "ok")
    return f" ({told})" if told else ""
