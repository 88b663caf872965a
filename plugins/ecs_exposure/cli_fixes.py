"""Commands on what to change: `fix-first` and `what-if`. Slow libraries are imported inside them."""

from __future__ import annotations

import dataclasses
import sys
from typing import Annotated

import typer

from ecs_exposure.options import (
    AccountOption,
    DayOption,
    FormatOption,
    LakeOption,
    OuOption,
    OwnerOption,
    Page,
    PageOption,
)
from ecs_exposure.output import Format, print_json, print_rows
from ecs_exposure.terminal import clear_errors, day_of, open_lake, settings_with


def fix_first(
    account: AccountOption = None,
    owner: OwnerOption = None,
    ou: OuOption = None,
    limit: Annotated[
        int | None,
        typer.Option("--limit", "-n", min=1, help="Print at most so many (default: 20 in a table, else all)."),
    ] = None,
    day: DayOption = None,
    lake: LakeOption = None,
    form: FormatOption = Format.table,
) -> None:
    """List the changes that lower most, in the order to make them.

    A change is what one team can do once for all services it touches: rebuild a repository's images, narrow a role,
    close a group, revise a task definition, turn a setting off. Each counts what is left after those above it. With
    filters, the plan is that of the matching exposures alone.
    """
    with clear_errors():
        from ecs_exposure import fix_first as fixes
        from ecs_exposure.exposures import Filter
        from ecs_exposure.history import assessed_day

        settings = settings_with(lake)
        requested = day_of(day)
        wanted = Filter(accounts=account or (), owners=owner or (), ous=ou or ())
        if form is Format.table:
            limit = limit or 20
        with open_lake(settings) as opened:
            told = fixes.fix_first(opened, assessed_day(opened, requested), wanted, settings.sql, limit)
        if form is Format.table:
            fixes.print_fix_first(told, sys.stdout)
        else:
            rows = ([row[name] for name in fixes.COLUMNS] for row in told.shown)
            print_rows(fixes.COLUMNS, rows, form, sys.stdout)


def what_if(
    service: Annotated[
        str | None,
        typer.Option("--service", help="Name or ARN of the service, or a part of the ARN that only it has."),
    ] = None,
    without: Annotated[
        list[str] | None, typer.Option("--without", metavar="TRAIT", help="Without this trait; may be repeated.")
    ] = None,
    image: Annotated[
        list[str] | None,
        typer.Option(
            "--image",
            metavar="DIGEST=clean",
            help="With this running image (the beginning of its digest) free of vulnerabilities; may be repeated.",
        ),
    ] = None,
    day: DayOption = None,
    lake: LakeOption = None,
    form: PageOption = Page.table,
) -> None:
    """Work out what a severity would be without some traits, or with clean images.

    By the same SQL as at night, on the day's stored snapshot; nothing is written. A trait takes along what cannot be
    without it (a role its permissions). Without --service, --image asks of every service that runs the image.
    """
    with clear_errors():
        from ecs_exposure import what_if as asking
        from ecs_exposure.history import assessed_day

        settings = settings_with(lake)
        requested = day_of(day)
        with open_lake(settings) as opened:
            chosen = assessed_day(opened, requested)
            told = asking.what_if(settings, opened, chosen, service=service, traits=without or (), images=image or ())
        if form is Page.json:
            print_json(dataclasses.asdict(told), sys.stdout)
        else:
            asking.print_what_if(told, sys.stdout)
