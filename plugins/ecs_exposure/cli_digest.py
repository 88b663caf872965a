"""The command `digest`: what an owner should hear of. Slow libraries are imported inside it."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import Annotated

import typer

from ecs_exposure.options import DayOption, LakeOption, OwnerOption
from ecs_exposure.output import Format, print_json, print_rows
from ecs_exposure.terminal import clear_errors, day_of, open_lake, say, settings_with


class Form(StrEnum):
    """Forms of a message."""

    text = "text"
    markdown = "markdown"
    json = "json"
    csv = "csv"


def digest(
    owner: OwnerOption = None,
    days: Annotated[int, typer.Option("--days", min=1, max=3660, help="So many days, the last one included.")] = 7,
    limit: Annotated[
        int | None,
        typer.Option(
            "--limit", "-n", min=1, help="At most so many a list (default: 20 in text and Markdown, else all)."
        ),
    ] = None,
    day: DayOption = None,
    lake: LakeOption = None,
    form: Annotated[
        Form, typer.Option("--format", help="For a terminal, for a chat or e-mail (Markdown), or for programs.")
    ] = Form.text,
) -> None:
    """Tell owners what is new, overdue and fixed.

    New is what was opened or got worse within the days and is still open; overdue what is open past its due date;
    fixed what was resolved within the days and is not open again. Without --owner, every owner with something to tell
    in turn, exposures without an owner last.
    """
    with clear_errors():
        from ecs_exposure import digest as digests
        from ecs_exposure import digest_page
        from ecs_exposure.history import assessed_day

        settings = settings_with(lake)
        requested = day_of(day)
        if form in (Form.text, Form.markdown):
            limit = limit or 20
        with open_lake(settings) as opened:
            told = digests.digest(opened, assessed_day(opened, requested), days, owner or (), limit)
        if form is Form.json:
            print_json(digest_page.record(told), sys.stdout)
        elif form is Form.csv:
            rows = ([row[name] for name in digests.COLUMNS] for row in told.rows())
            print_rows(digests.COLUMNS, rows, Format.csv, sys.stdout)
            for note in digest_page.notes(told):  # a row has no place for them
                say(f"note: {note}")
        elif form is Form.markdown:
            digest_page.print_markdown(told, sys.stdout)
        else:
            digest_page.print_text(told, sys.stdout)
