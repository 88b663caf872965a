"""What the commands share at the terminal: exit codes, errors in plain words, progress."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from typing import TYPE_CHECKING, NoReturn

import typer

from ecs_exposure.output import clean, console
from ecs_exposure.settings import Settings, load, parse_date

if TYPE_CHECKING:
    from ecs_exposure.assessing import Progress as Tell
    from ecs_exposure.lake import Lake

OK, FAILED, USAGE, NO_DATA, FOUND = 0, 1, 2, 3, 4


@contextmanager
def progress_bars() -> Iterator[Tell | None]:
    """A bar per stage on standard error, or None when that is not a terminal."""
    screen = console(stderr=True)
    if not screen.is_terminal:
        yield None
        return
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        SpinnerColumn,
        TaskID,
        TextColumn,
        TimeElapsedColumn,
    )

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=screen, transient=True) as bars:
        tasks: dict[str, TaskID] = {}

        def tell(stage: str, done: int, total: int) -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(clean(stage))
            bars.update(tasks[stage], completed=done, total=total or None)

        yield tell


def log_to_stderr(verbose: bool) -> None:
    """Warnings, and with `verbose` what the stages say as they go."""
    level = logging.INFO if verbose else logging.WARNING
    handler = logging.StreamHandler(sys.stderr)
    handler.setLevel(level)  # some libraries set the level of their own loggers
    logging.basicConfig(handlers=[handler], level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s")
    logging.getLogger("ecs_exposure").setLevel(level)


def say(text: str) -> None:
    typer.echo("\n".join(map(clean, text.splitlines())), err=True)


def fail(error: Exception, code: int) -> NoReturn:
    say(f"error: {error}")
    raise typer.Exit(code)


@contextmanager
def clear_errors() -> Iterator[None]:
    """What can be expected to go wrong is said in plain words, with its exit code; a traceback is a defect of ours."""
    # An `except` looks up its classes only when something was raised: nothing is imported for a command that works.
    try:
        yield
    except _usage_errors() as error:
        fail(error, USAGE)
    except _no_data_errors() as error:
        fail(error, NO_DATA)
    except BrokenPipeError:  # the reader of our output has gone (`| head`): typer ends quietly
        raise
    except _failures() as error:
        fail(error, FAILED)


def _usage_errors() -> tuple[type[Exception], ...]:
    from ecs_exposure.accepted_risks import AcceptedRisksError
    from ecs_exposure.history import QueryError
    from ecs_exposure.settings import SettingsError

    return SettingsError, QueryError, AcceptedRisksError


def _no_data_errors() -> tuple[type[Exception], ...]:
    from ecs_exposure.history import NoDataError

    return (NoDataError,)


def _failures() -> tuple[type[Exception], ...]:
    from ecs_exposure.lake import LakeError
    from ecs_exposure.models import ModelError

    if "ecs_exposure.assessing" not in sys.modules:  # reading commands never load the collectors
        return LakeError, ModelError, OSError
    from botocore.exceptions import BotoCoreError, ClientError

    from ecs_exposure.collectors.organizations import DiscoveryError
    from ecs_exposure.gate import GateError
    from ecs_exposure.scan import ScanError
    from ecs_exposure.securityhub.ledger import PublishError

    return (
        LakeError,
        ModelError,
        ScanError,
        DiscoveryError,
        GateError,
        PublishError,
        BotoCoreError,
        ClientError,
        OSError,
    )


def settings_with(lake: str | None, **overrides: str) -> Settings:
    """The settings in force, with what options on the command line say instead."""
    return load(**({"lake": lake} if lake else {}), **overrides)


@contextmanager
def open_lake(settings: Settings, *, create: bool = False) -> Iterator[Lake]:
    from ecs_exposure.lake import Lake

    with Lake.open(settings.lake, create=create) as opened:
        yield opened


def day_of(text: str | None, end: date | None = None) -> date | None:
    """A day written YYYY-MM-DD or, where `end` is given, as so many days before it (`7d`)."""
    if text is None:
        return None
    if end and (back := re.fullmatch(r"(\d{1,5})d", text)):
        return end - timedelta(days=int(back[1]))
    return parse_date(text)
