"""The commands that scan, compute, publish and tidy up. Slow libraries are imported inside them."""

from __future__ import annotations

import dataclasses
import sys
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from ecs_exposure.options import FormatOption, LakeOption, Mode, Page, PageOption, VerboseOption
from ecs_exposure.output import Format, print_json, print_rows
from ecs_exposure.settings import Settings, parse_date
from ecs_exposure.terminal import (
    clear_errors,
    day_of,
    log_to_stderr,
    open_lake,
    progress_bars,
    say,
    settings_with,
)

if TYPE_CHECKING:
    from ecs_exposure.lake import Lake


def scan(
    day: Annotated[
        str | None, typer.Option("--date", metavar="YYYY-MM-DD", help="Day of the snapshot (default: today, UTC).")
    ] = None,
    lake: LakeOption = None,
    form: PageOption = Page.table,
    verbose: VerboseOption = False,
) -> None:
    """Scan the organisation now, then print the summary.

    Collects, checks (gate), assesses and publishes as ECS_EXPOSURE_PUBLISH says. May be run again: what was collected
    that day is not asked for twice.
    """
    with clear_errors():
        settings = settings_with(lake)
        requested = day_of(day) or datetime.now(UTC).date()
        from ecs_exposure.scan import scan as scan_organization
        from ecs_exposure.securityhub.ledger import PublishError

        log_to_stderr(verbose)
        with open_lake(settings, create=True) as opened:
            not_published: PublishError | None = None
            with progress_bars() as progress:
                try:
                    scan_organization(settings, opened, requested, progress=progress)
                except PublishError as error:  # the night is assessed: show it, then fail
                    not_published = error
            print_night(opened, requested, settings, form)
        if not_published:
            raise not_published


def assess(
    day: Annotated[
        str | None,
        typer.Option("--date", metavar="YYYY-MM-DD", help="Day with a stored snapshot (default: the last one)."),
    ] = None,
    lake: LakeOption = None,
    form: FormatOption = Format.table,
    verbose: VerboseOption = False,
) -> None:
    """Compute one stored day again with the present SQL.

    Nothing is collected or published.
    """
    with clear_errors():
        settings = settings_with(lake)
        requested = day_of(day)
        from ecs_exposure.assessing import assess as assess_day
        from ecs_exposure.history import NoDataError

        log_to_stderr(verbose)
        with open_lake(settings) as opened, progress_bars() as progress, opened.lock():
            stored = opened.snapshot_days()
            if not stored:
                raise NoDataError(f"no snapshot in the lake at {opened.location}: run `ecs-exposure scan` first")
            assessed = assess_day(settings, opened, requested or stored[-1], progress=progress)
        rows = [(assessed.snapshot_date, severity, services) for severity, services in assessed.exposures.items()]
        print_rows(("snapshot_date", "severity", "services"), rows, form, sys.stdout)


def reassess(
    since: Annotated[str, typer.Option("--since", metavar="YYYY-MM-DD", help="First day to compute again.")],
    until: Annotated[
        str | None, typer.Option("--until", metavar="YYYY-MM-DD", help="Last day (default: the last assessed one).")
    ] = None,
    lake: LakeOption = None,
    form: FormatOption = Format.table,
    verbose: VerboseOption = False,
) -> None:
    """Compute past days again with the present SQL.

    Oldest first, as each day's changes and dates rest on the day before. Never publishes.
    """
    with clear_errors():
        settings = settings_with(lake)
        begin, end = parse_date(since), day_of(until)
        from ecs_exposure.assessing import reassess as reassess_days
        from ecs_exposure.history import NoDataError

        log_to_stderr(verbose)
        with open_lake(settings) as opened, progress_bars() as progress, opened.lock():
            done = reassess_days(settings, opened, begin, end, progress=progress)
        if not done:
            raise NoDataError(f"no day was assessed from {begin}" + (f" to {end}" if end else " on"))
        columns = ("snapshot_date", "rules_version", "exposures", "changes")
        rows = [
            (item.snapshot_date, item.rules_version, sum(item.exposures.values()), sum(item.changes.values()))
            for item in done
        ]
        print_rows(columns, rows, form, sys.stdout)


def publish(
    mode: Annotated[Mode | None, typer.Option("--mode", help="Overrides ECS_EXPOSURE_PUBLISH for this run.")] = None,
    is_full_reading: Annotated[
        bool,
        typer.Option(
            "--reconcile",
            help="First read back what Security Hub holds of ours everywhere, and send again what is missing there or "
            "was altered. Without it each account is read back once a week.",
        ),
    ] = False,
    lake: LakeOption = None,
    form: FormatOption = Format.table,
    verbose: VerboseOption = False,
) -> None:
    """Tell Security Hub what changed, up to the last assessed day.

    Fixed exposures are archived. dry-run only writes down what would be sent.
    """
    with clear_errors():
        settings = settings_with(lake, publish=mode.value) if mode else settings_with(lake)
        from ecs_exposure.decisions import readings
        from ecs_exposure.history import assessed_day
        from ecs_exposure.scan import publish as publish_day
        from ecs_exposure.summary import publication_counts

        log_to_stderr(verbose)
        with open_lake(settings) as opened:
            last = assessed_day(opened, None)
            with progress_bars() as progress, opened.lock():
                publish_day(settings, opened, last, progress=progress, is_full_reading=is_full_reading)
            told = publication_counts(opened, last)
            if is_full_reading:
                read = readings(opened, last)
                names = ("findings", "missing", "altered", "unclaimed")
                told |= {f"read_back_{name}": count for name in names if (count := read[name]) is not None}
                if read["places_not_read"]:
                    say(f"{read['places_not_read']} accounts and Regions could not be read back (table reconciliation)")
            print_rows(("outcome", "findings"), list(told.items()), form, sys.stdout)


def retain(
    is_dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be deleted, delete nothing.")] = False,
    lake: LakeOption = None,
    form: FormatOption = Format.table,
) -> None:
    """Delete what the lake has kept long enough.

    docs/operate.md says how long what is kept.
    """
    with clear_errors():
        settings = settings_with(lake)
        from ecs_exposure.retention import retain as delete_expired

        with open_lake(settings) as opened, opened.lock():
            found = delete_expired(opened, is_dry_run=is_dry_run)
        expired = (
            ("snapshot", found.snapshots),
            ("image_vulnerability", found.image_vulnerabilities),
            ("results", found.results),
        )
        rows = [(what, day) for what, days in expired for day in days]
        print_rows(("would_delete" if is_dry_run else "deleted", "snapshot_date"), rows, form, sys.stdout)


def feeds(lake: LakeOption = None, form: FormatOption = Format.table) -> None:
    """Check the optional local feeds on vulnerabilities.

    Each file's own date, age and entries, how many of the last day's vulnerabilities it covers, and what to do.
    docs/operate.md says what each changes.
    """
    with clear_errors():
        settings = settings_with(lake)
        from ecs_exposure.feeds import FeedStatus, feed_statuses
        from ecs_exposure.lake import LakeError

        today = datetime.now(UTC).date()
        try:
            with open_lake(settings) as opened:
                found = feed_statuses(settings, opened, today)
        except LakeError as error:
            say(f"note: no day to compare with: {error}")
            found = feed_statuses(settings, None, today)
        columns = [field.name for field in dataclasses.fields(FeedStatus)]
        print_rows(columns, map(dataclasses.astuple, found), form, sys.stdout)


def print_night(opened: Lake, day: date, settings: Settings, form: Page) -> None:
    """The summary of an assessed day, as a page or as one JSON document."""
    from ecs_exposure.report import print_summary
    from ecs_exposure.summary import summarise

    told = summarise(opened, day, settings.organization_account_id)
    if form is Page.json:
        print_json(dataclasses.asdict(told), sys.stdout)
    else:
        print_summary(told, sys.stdout)
