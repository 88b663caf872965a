"""What the DAGs' tasks do: read settings and the day, open the lake, call the product's function of the same name.

The product is imported inside the tasks: parsing the DAGs stays cheap. XCom carries batches (ids, accounts, Regions)
and counts, never a row.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, date
from typing import TYPE_CHECKING, Any

from airflow.sdk import get_current_context
from ecs_exposure.settings import Settings, load, parse_date

from ecs_exposure_airflow.progress import say

if TYPE_CHECKING:
    from ecs_exposure.aws import AwsAccess
    from ecs_exposure.lake import Lake

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


@contextmanager
def _lake(*, create: bool = False) -> Iterator[tuple[Settings, Lake, date]]:
    from ecs_exposure.lake import Lake
    from ecs_exposure.scan import check_day

    settings = load()
    with Lake.open(settings.lake, create=create) as lake:
        yield settings, lake, check_day(lake, snapshot_date())


def _access(settings: Settings) -> AwsAccess:
    from ecs_exposure_airflow.hooks import EcsExposureHook

    return EcsExposureHook().access(settings)


def plan() -> list[dict[str, Any]]:
    """Batches of whole accounts."""
    from ecs_exposure import scan

    with _lake(create=True) as (settings, lake, day):
        batches = scan.plan(settings, _access(settings), lake, day)
    say(f"{sum(len(batch['targets']) for batch in batches)} targets in {len(batches)} batches")
    return batches


def collect(batch: dict[str, Any]) -> dict[str, Any]:
    """Statuses, rows and calls of one batch."""
    from ecs_exposure import scan

    with _lake() as (settings, lake, day):
        summary = scan.collect(settings, _access(settings), lake, day, batch, is_last_try=is_last_try())
    accounts = ", ".join(sorted({account for account, _ in batch["targets"]}))
    say(f"{batch['id']} ({accounts}): {summary.rows} rows, {summary.api_calls} AWS calls{_not_ok(summary.statuses)}")
    return asdict(summary)


def plan_images() -> list[dict[str, Any]]:
    """One batch per Region that holds running images."""
    from ecs_exposure import scan

    with _lake() as (settings, lake, day):
        return scan.plan_images(settings, lake, day)


def collect_images(batch: dict[str, Any]) -> dict[str, Any]:
    """Statuses, rows and calls of one Region's images."""
    from ecs_exposure import scan

    with _lake() as (settings, lake, day):
        summary = scan.collect_image_batch(settings, _access(settings), lake, day, batch, is_last_try=is_last_try())
    say(f"{batch['id']}: {summary.rows} rows, {summary.api_calls} AWS calls{_not_ok(summary.statuses)}")
    return asdict(summary)


def collect_feeds() -> dict[str, str]:
    """Each local feed's status."""
    from ecs_exposure import scan

    with _lake() as (settings, lake, day):
        statuses = scan.collect_feeds(settings, lake, day)
    say("feeds: " + ", ".join(f"{name} {status.replace('_', ' ')}" for name, status in statuses.items()))
    return statuses


def gate() -> dict[str, Any]:
    """What the gate saw."""
    from ecs_exposure import scan

    with _lake() as (settings, lake, day):
        summary = scan.gate(settings, lake, day)
    say(f"gate: {summary.targets} targets, {summary.not_seen} datasets not seen, {summary.carried} carried over")
    return asdict(summary)


def assess() -> dict[str, int]:
    """Exposures by severity."""
    from ecs_exposure import scan

    with _lake() as (settings, lake, day):
        summary = scan.assess(settings, lake, day)
    say(f"assessed {sum(summary.exposures.values())} services in {sum(summary.seconds.values()):.1f} s")
    return summary.exposures


def plan_publish() -> list[dict[str, Any]]:
    """Batches of (account, Region) pairs that have something to be told."""
    from ecs_exposure import scan

    with _lake() as (settings, lake, day):
        return scan.plan_publish(settings, lake, day)


def publish(batch: dict[str, Any]) -> dict[str, int]:
    """Findings of one batch by outcome."""
    from ecs_exposure import scan

    with _lake() as (settings, lake, day):
        return scan.publish_batch(settings, _access(settings), lake, day, batch)


def report() -> dict[str, int]:
    """The day's findings by outcome. Raises PublishError when there was something to send and nothing was sent."""
    from ecs_exposure import scan

    with _lake() as (settings, lake, day):
        outcome = scan.check_published(settings, lake, day)
    say(
        "Security Hub: "
        + (", ".join(f"{count} {name.replace('_', ' ')}" for name, count in outcome.items()) or "nothing to send")
    )
    return outcome


def reassess(since: str, until: str | None) -> list[str]:
    """The days assessed again."""
    from ecs_exposure.assessing import reassess
    from ecs_exposure.lake import Lake

    settings = load()
    with Lake.open(settings.lake) as lake:
        done = reassess(settings, lake, parse_date(since), parse_date(until) if until else None)
    return [str(summary.snapshot_date) for summary in done]


def _not_ok(statuses: dict[str, int]) -> str:
    told = ", ".join(f"{count} {status}" for status, count in sorted(statuses.items()) if status != "ok")
    return f" ({told})" if told else ""
