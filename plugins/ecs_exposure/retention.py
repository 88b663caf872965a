"""How long the lake keeps what: snapshots 35 days, then one a week for a year; image_vulnerability 400 days; other
results ten years.

Ages are counted from the last assessed day, not from the clock, so that a lake nobody scans any more does not empty
itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta

from ecs_exposure.lake import Lake

DAILY_SNAPSHOTS = timedelta(days=35)
WEEKLY_SNAPSHOTS = timedelta(days=365)
IMAGE_VULNERABILITIES = timedelta(days=400)
RESULTS = timedelta(days=3653)


@dataclass(frozen=True)
class Expired:
    """Days of which something is past its time, ascending."""

    snapshots: tuple[date, ...]
    image_vulnerabilities: tuple[date, ...]
    results: tuple[date, ...]


def expired(snapshot_days: Iterable[date], result_days: Iterable[date], latest: date) -> Expired:
    """What is past its time as of the last assessed day. Of each ISO week the earliest stored day is the one kept."""
    results = sorted(result_days)
    snapshots = []
    kept_weeks: set[tuple[int, int]] = set()
    for day in sorted(snapshot_days):
        age = latest - day
        week = day.isocalendar()[:2]
        if age > WEEKLY_SNAPSHOTS or (age > DAILY_SNAPSHOTS and week in kept_weeks):
            snapshots.append(day)
        else:
            kept_weeks.add(week)
    gone = tuple(day for day in results if latest - day > RESULTS)
    images = tuple(day for day in results if latest - day > IMAGE_VULNERABILITIES and day not in gone)
    return Expired(tuple(snapshots), images, gone)


def retain(lake: Lake, *, is_dry_run: bool = False) -> Expired:
    """Delete what is past its time, and snapshot files that no commit record names; returns what was past its time.

    On a dry run nothing is deleted. An empty lake has nothing to delete.
    """
    days = lake.days()
    if not days:
        return Expired((), (), ())
    found = expired(lake.snapshot_days(), days, max(days))
    found = Expired(
        found.snapshots,
        tuple(day for day in found.image_vulnerabilities if "image_vulnerability" in lake.day(day).files),
        found.results,
    )
    if is_dry_run:
        return found
    for day in found.snapshots:
        lake.forget_snapshot(day)
    for day in lake.snapshot_days():
        if day < max(days):
            lake.sweep(day)
    for day in found.image_vulnerabilities:
        lake.forget_results(day, ("image_vulnerability",))
    for day in found.results:
        lake.forget_results(day)
    return found
