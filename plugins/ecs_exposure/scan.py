"""The whole flow, composed: plan → collect → plan images → collect images → feeds → gate → assess → publish.

The Airflow DAG runs the same stages as mapped tasks; `ecs-exposure scan` runs them here, one after another. Each stage
reads what it needs from the lake and leaves there what it made. No stage asks the clock for its day.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from ecs_exposure.assessing import AssessSummary, Progress, assess, reassess
from ecs_exposure.aws import AwsAccess
from ecs_exposure.collecting import (
    Batch,
    CollectError,
    CollectSummary,
    collect,
    collect_image_batch,
    gate,
    plan,
    plan_images,
)
from ecs_exposure.feeds import collect_feeds
from ecs_exposure.gate import GateSummary
from ecs_exposure.lake import Lake
from ecs_exposure.publishing import check_published, plan_publish, publish_batch
from ecs_exposure.settings import Settings

__all__ = [
    "Progress",
    "ScanError",
    "ScanSummary",
    "assess",
    "check_day",
    "check_published",
    "collect",
    "collect_feeds",
    "collect_image_batch",
    "gate",
    "plan",
    "plan_images",
    "plan_publish",
    "publish",
    "publish_batch",
    "reassess",
    "scan",
]

TRIES = 2


class ScanError(Exception):
    """The scan cannot be made as asked; the message says what to do."""


@dataclass
class ScanSummary:
    """One night: the gate's and the assessment's summaries, and findings by what became of them."""

    snapshot_date: date
    gate: GateSummary
    assessment: AssessSummary
    published: dict[str, int] = field(default_factory=dict)


def check_day(lake: Lake, day: date) -> date:
    """The day, if it may be collected. Raises ScanError for a day before the last assessed one: AWS only tells the
    present.
    """
    last = max(lake.days(), default=None)
    if last and day < last:
        raise ScanError(
            f"{day} is before {last}, the last assessed day: a past day is never collected again, since AWS only "
            "tells the present; to rebuild its results from the stored snapshot run `ecs-exposure reassess`"
        )
    return day


def scan(
    settings: Settings, lake: Lake, day: date, *, access: AwsAccess | None = None, progress: Progress | None = None
) -> ScanSummary:
    """Scan the organisation for one day and publish.

    Failed targets are tried twice. Raises ScanError for a past day, DiscoveryError, GateError, PublishError and
    LakeError as the stages do.
    """
    tell = progress or (lambda *_: None)
    access = access or AwsAccess(settings)
    with lake.lock():
        check_day(lake, day)
        tell("plan", 0, 1)
        batches = plan(settings, access, lake, day)
        tell("plan", 1, 1)
        _each(
            "collect", batches, lambda batch, last: collect(settings, access, lake, day, batch, is_last_try=last), tell
        )
        images = plan_images(settings, lake, day)
        _each(
            "images",
            images,
            lambda batch, last: collect_image_batch(settings, access, lake, day, batch, is_last_try=last),
            tell,
        )
        collect_feeds(settings, lake, day)
        tell("gate", 0, 1)
        gated = gate(settings, lake, day)
        tell("gate", 1, 1)
        assessment = assess(settings, lake, day, progress=progress)
        return ScanSummary(day, gated, assessment, publish(settings, lake, day, access=access, progress=progress))


def publish(
    settings: Settings,
    lake: Lake,
    day: date,
    *,
    access: AwsAccess | None = None,
    progress: Progress | None = None,
    is_full_reading: bool = False,
) -> dict[str, int]:
    """Tell Security Hub what changed, after reading back what is due (everything with `is_full_reading`); findings by
    what became of them. Raises PublishError when there was something to send and nothing was.
    """
    access = access or AwsAccess(settings)
    batches = plan_publish(settings, lake, day, is_full_reading=is_full_reading)
    for number, batch in enumerate(batches):
        if progress:
            progress("publish", number, len(batches))
        publish_batch(settings, access, lake, day, batch)
    if progress and batches:
        progress("publish", len(batches), len(batches))
    return check_published(settings, lake, day)


def _each(
    stage: str, batches: list[Batch], work: Callable[[Batch, bool], CollectSummary], tell: Callable[..., Any]
) -> None:
    for number, batch in enumerate(batches):
        tell(stage, number, len(batches))
        for attempt in range(1, TRIES + 1):
            try:
                work(batch, attempt == TRIES)
                break
            except CollectError:
                if attempt == TRIES:
                    raise
    tell(stage, len(batches), len(batches))
