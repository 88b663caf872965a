"""The optional local feeds in the nightly scan: what they say of the day's vulnerabilities becomes part of the day's
snapshot, so that the day can be assessed again when the files are long replaced.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow as pa

from ecs_exposure import databases
from ecs_exposure.aws import GLOBAL
from ecs_exposure.aws_errors import bounded
from ecs_exposure.feed_files import EpssFeed, Feed, FeedError, KevFeed, Row, VulnrichmentFeed
from ecs_exposure.lake import Lake
from ecs_exposure.schemas.snapshots import SNAPSHOTS
from ecs_exposure.settings import PREFIX, Settings

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Source:
    """One feed: dataset, setting, reader, from which age (days) it is stale and why, and where to get it."""

    name: str
    dataset: str
    setting: str
    reader: Callable[[Path], Feed]
    stale_days: int
    stale: str
    official: str

    @property
    def variable(self) -> str:
        return f"{PREFIX}{self.setting.upper()}"

    def path(self, settings: Settings) -> Path | None:
        path: Path | None = getattr(settings, self.setting)
        return path


SOURCES = (
    Source(
        "EPSS", "epss_score", "epss_file", EpssFeed, 7,
        "scores older than seven days no longer count towards p",
        "https://epss.empiricalsecurity.com/epss_scores-current.csv.gz",
    ),
    Source(
        "KEV", "kev_entry", "kev_file", KevFeed, 7,
        "what it does not list is unknown again, no longer false",
        "https://www.cisa.gov/sites/default/files/feeds/known_exploited_vulnerabilities.json",
    ),
    Source(
        "Vulnrichment", "vulnrichment", "vulnrichment_file", VulnrichmentFeed, 30,
        "its decisions stand, but newer vulnerabilities are judged by their vectors",
        "https://github.com/cisagov/vulnrichment",
    ),
)  # fmt: skip
"""In the order they are shown. docs/operate.md gives the reasons for the ages."""


@dataclass(frozen=True)
class FeedStatus:
    """One feed as it is now. `covered` counts the last assessed day's vulnerabilities that it speaks of, of
    `vulnerabilities`; both NULL without an assessed day.
    """

    feed: str
    state: str
    file: str | None
    feed_date: date | None
    age_days: int | None
    entries: int | None
    covered: int | None
    vulnerabilities: int | None
    what_to_do: str | None


def collect_feeds(settings: Settings, lake: Lake, day: date) -> dict[str, str]:
    """Read the feeds and write their rows on the day's vulnerabilities, with coverage on the organisation's target;
    returns each feed's status.

    A feed that cannot be read is `failed` and stops nothing: the gate carries over what it said on the last day, and an
    `ok` of an earlier try of the same day stays.
    """
    wanted = _vulnerabilities(lake, day)
    target = (settings.organization_account_id or "", GLOBAL)
    written = {
        row["dataset"] for row in lake.coverage(day).to_pylist()
        if (row["account_id"], row["region"]) == target and row["status"] == "ok"
    }  # fmt: skip
    writer = lake.writer(day, f"feeds-{secrets.token_hex(4)}")
    coverage, statuses = [], {}
    for source in SOURCES:
        status, message, rows = _read(source, settings, day, target, wanted)
        if status == "ok":
            status, message = _validated(lake, day, source, rows, message)
        statuses[source.name] = status
        if status != "ok" and source.dataset in written:
            log.warning("%s: %s; what was read of it earlier today stays", source.name, message)
            continue
        if status == "ok":
            writer.write(SNAPSHOTS[source.dataset], rows)
        elif status != "not_enabled":
            log.warning("%s: %s", source.name, message)
        coverage.append(
            {
                "account_id": target[0],
                "region": target[1],
                "dataset": source.dataset,
                "status": status,
                "rows": rows.num_rows if status == "ok" else None,
                "api_calls": 0,
                "message": message,
                "collected_at": datetime.now(UTC),
                "observed_date": day if status == "ok" else None,
                "file": writer.file if status == "ok" and rows.num_rows else None,
            }
        )
    writer.commit(coverage)
    return statuses


def _read(
    source: Source, settings: Settings, day: date, target: tuple[str, str], wanted: Collection[str]
) -> tuple[str, str | None, pa.Table]:
    """Coverage status, its message, and the dataset's rows."""
    dataset = SNAPSHOTS[source.dataset]
    path = source.path(settings)
    if path is None:
        return "not_enabled", f"no file: set {source.variable} (docs/operate.md says where to get it)", None
    feed = source.reader(path)
    try:
        found = {row["vulnerability_id"]: row for row in _worst_last(feed.rows(wanted))}
        if feed.feed_date is None and source.dataset != "vulnrichment":
            raise FeedError(f"{path} does not say of which day it is: keep the file name under which it is published")
    except FeedError as error:
        return "failed", bounded(str(error)), None
    own = {"account_id": target[0], "region": target[1], "observed_date": day}
    rows = [own | row for row in _dated(source, feed, found, wanted)]
    told = f"{feed.entries} entries of {feed.feed_date}" if feed.feed_date else f"{feed.entries} entries"
    if feed.feed_date and (day - feed.feed_date).days >= source.stale_days:
        told = f"stale: {told}; {source.stale}"
    return "ok", bounded(told), dataset.to_arrow(rows)


def _worst_last(rows: Iterator[Row]) -> list[Row]:
    """A vulnerability named twice is kept as its worse row: the last of equal ids wins in a dict."""
    return sorted(rows, key=lambda row: (row.get("epss") or 0.0, bool(row.get("automatable"))))


def _dated(source: Source, feed: Feed, found: dict[str, Row], wanted: Collection[str]) -> Iterator[Row]:
    """The rows with the file's own date. Of KEV, what is not listed is a row too: only so it is known later."""
    for identity in sorted(wanted):
        row = found.get(identity)
        if source.dataset == "kev_entry":
            yield {
                "vulnerability_id": identity,
                "is_listed": row is not None,
                "catalog_date": feed.feed_date,
                **(row or {}),
            }
        elif row and source.dataset == "epss_score":
            yield {**row, "score_date": feed.feed_date, "model_version": feed.version}
        elif row:
            yield row


def _validated(lake: Lake, day: date, source: Source, rows: pa.Table, told: str | None) -> tuple[str, str | None]:
    """The day's rule for every dataset: what the suite of its schema refuses goes to quarantine."""
    from ecs_exposure.expectations import offending_targets

    dataset = SNAPSHOTS[source.dataset]
    offending = offending_targets(dataset, rows) if rows.num_rows else {}
    if not offending:
        return "ok", told
    lake.write_quarantine(day, f"feeds-{secrets.token_hex(4)}", dataset, rows)
    return "invalid", bounded(f"quarantined: {'; '.join(offending.values())}")


def _vulnerabilities(lake: Lake, day: date) -> set[str]:
    """CVEs found on the day's images or known on the last assessed day (what may be carried over, or kept)."""
    with databases.connect() as connection:
        lake.attach_snapshot(connection, day, "snapshot", datasets=("image_finding",))
        tables = ("vulnerability", "image_vulnerability")
        lake.attach_results(connection, lake.previous_day(day), "previous", tables=tables)
        found = connection.execute(
            """select vulnerability_id
            from (
                select distinct vulnerability_id from snapshot.image_finding
                union
                select vulnerability_id from previous.vulnerability
                union
                -- Results of a version without the table `vulnerability`.
                select distinct vulnerability_id from previous.image_vulnerability
                where not exists (select 1 from previous.vulnerability)
            )
            where regexp_full_match(vulnerability_id, 'CVE-[0-9]{4}-[0-9]{4,19}')"""
        ).fetchall()
    return {identity for (identity,) in found}


def feed_statuses(settings: Settings, lake: Lake | None, today: date) -> list[FeedStatus]:
    """Each feed's file as it is now, and what to do about it."""
    last = max(lake.days(), default=None) if lake else None
    known = _last_known(lake, last) if lake and last else None
    return [_status(source, settings, known, today) for source in SOURCES]


def _last_known(lake: Lake, last: date) -> set[str]:
    with databases.connect() as connection:
        lake.attach_results(connection, last, "latest", tables=("image_vulnerability",))
        found = connection.execute("select distinct vulnerability_id from latest.image_vulnerability").fetchall()
    return {identity for (identity,) in found}


def _status(source: Source, settings: Settings, known: set[str] | None, today: date) -> FeedStatus:
    path, count = source.path(settings), len(known) if known is not None else None
    get = f"download {source.official}"
    if path is None:
        to_do = f"{get} and set {source.variable}"
        return FeedStatus(source.name, "not set", None, None, None, None, None, count, to_do)
    feed = source.reader(path)
    try:
        covered = len({row["vulnerability_id"] for row in feed.rows(None if known is None else known)})
    except FeedError as error:
        return FeedStatus(source.name, "unreadable", str(path), None, None, None, None, count, f"{error} ({get})")
    age = (today - feed.feed_date).days if feed.feed_date else None
    state: str = "ok"
    advice: str | None = None
    if age is None and source.dataset != "vulnrichment":
        state, advice = "unreadable", "it does not say of which day it is: keep the file name of the download"
    elif age is not None and age >= source.stale_days:
        state, advice = "stale", f"{get} again: from {source.stale_days} days on, {source.stale}"
    return FeedStatus(
        source.name,
        state,
        str(path),
        feed.feed_date,
        age,
        feed.entries,
        covered if known is not None else None,
        count,
        advice,
    )
