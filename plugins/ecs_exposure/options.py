"""Options that several commands share, and the words they take."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from ecs_exposure.output import Format


class Page(StrEnum):
    """Forms of what is a page, not rows."""

    table = "table"
    json = "json"


class By(StrEnum):
    """What a trend can be grouped by."""

    account = "account"
    ou = "ou"
    owner = "owner"


class Mode(StrEnum):
    """Publishing modes."""

    off = "off"
    dry_run = "dry-run"
    on = "on"


class Severity(StrEnum):
    """Severities, worst first; lower case is accepted."""

    CRITICAL = "CRITICAL"
    HIGH = "HIGH"
    MEDIUM = "MEDIUM"
    LOW = "LOW"
    INFORMATIONAL = "INFORMATIONAL"


LakeOption = Annotated[
    str | None, typer.Option("--lake", help="Folder or s3://bucket/prefix (default: ECS_EXPOSURE_LAKE, else ./lake).")
]
FormatOption = Annotated[
    Format, typer.Option("--format", help="How rows are printed; csv is safe to open in a spreadsheet.")
]
PageOption = Annotated[Page, typer.Option("--format", help="For people, or one JSON document.")]
DayOption = Annotated[
    str | None, typer.Option("--date", metavar="YYYY-MM-DD", help="Assessed day (default: the last one).")
]
AccountOption = Annotated[
    list[str] | None, typer.Option("--account", help="Only this account (id or name); may be repeated.")
]
OwnerOption = Annotated[list[str] | None, typer.Option("--owner", help="Only this owner; may be repeated.")]
OuOption = Annotated[
    list[str] | None, typer.Option("--ou", help="Only this organisational unit and those below it, e.g. /workloads.")
]
SINCE_HELP = "First day, YYYY-MM-DD, or e.g. 7d for seven days before the last one"
VerboseOption = Annotated[bool, typer.Option("--verbose", "-v", help="Log what is being done to standard error.")]
