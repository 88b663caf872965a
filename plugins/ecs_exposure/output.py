"""Rows on the screen, as JSON or as CSV, with everything that came from outside made harmless for where it is shown.

Names, tags and descriptions are written by whoever owns an account, so they may hold escape sequences that drive a
terminal, letters that reverse the reading order, rich's markup, or a spreadsheet formula.
"""

from __future__ import annotations

import csv
import io
import json
import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import IO, TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from rich.console import Console

_BREAKS = "\t\n\v\f\r\x85\u2028\u2029"
_SPACES = str.maketrans(dict.fromkeys(_BREAKS, " "))
_INVISIBLE = frozenset(
    {"Cc", "Cf", "Cs", "Zl", "Zp"}
)  # control, format (bidi, zero width), lone surrogates, separators
_FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠")  # the wide ones start a formula in East Asian editions of Excel

# What means something to Markdown or to a dialect of it (bare links, mentions, issues, emoji, formulas). HTML's as
# entities: not every renderer heeds a backslash before them.
_MARKDOWN = str.maketrans(
    {character: f"\\{character}" for character in "\\`*_{}[]#!|~$@:^"} | {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
)

COLUMN_GAP = 2  # rich's padding and divider
NARROWEST = 12  # text columns fold, but not below this
PIPE_WIDTH = 100  # columns when standard output is a file or a pipe and COLUMNS does not say


class Format(StrEnum):
    """How a command prints its rows."""

    table = "table"
    json = "json"
    csv = "csv"


def is_plain(character: str) -> bool:
    """Whether a terminal shows the character and does nothing else with it."""
    return unicodedata.category(character) not in _INVISIBLE


def clean(value: object, replacement: str = "\N{REPLACEMENT CHARACTER}") -> str:
    """Text that is safe on a terminal: line breaks and tabs become spaces, other invisible characters `replacement`."""
    text = str(value).translate(_SPACES)
    if text.isascii() and text.isprintable():
        return text
    return "".join(character if is_plain(character) else replacement for character in text)


def cell(value: object) -> str:
    """A value as one cell of a table on the screen; NULL is `–`, never a zero."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    if isinstance(value, (list, tuple)):
        return ", ".join(cell(item) for item in value)
    if isinstance(value, dict):
        return clean(json.dumps(plain(value), ensure_ascii=False))
    return clean(value)


def csv_cell(value: object) -> object:
    """A value as one CSV cell: NULL is empty, lists are joined by `; `, and text never starts a spreadsheet formula.

    Numbers stay numbers; text a spreadsheet would calculate gets a leading apostrophe; control characters go.
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float, Decimal, date)):
        return value
    if isinstance(value, (list, tuple)):
        text = "; ".join(str(csv_item) for csv_item in map(_csv_item, value))
    else:
        text = _csv_item(value)
    return f"'{text}" if text.lstrip().startswith(_FORMULA) else text


def _csv_item(value: object) -> str:
    return clean(json.dumps(plain(value)) if isinstance(value, (dict, list, tuple)) else value, replacement="")


def markdown(value: object) -> str:
    """Text for inside a line of Markdown, cells of its tables included, that shows as it is and links to nothing."""
    return re.sub(r"\bwww\.", r"www\\.", clean(value).translate(_MARKDOWN), flags=re.IGNORECASE)


def plain(value: object) -> Any:
    """A value in JSON's own types: dates as ISO text, containers recursively."""
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (date, datetime)):
        return value.isoformat()
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return str(value)


def console(file: IO[str] | None = None, *, stderr: bool = False) -> Console:
    """A console that interprets nothing in what it is given: no markup, no emoji codes, no highlighting."""
    from rich.console import Console

    made = Console(file=file, stderr=stderr, markup=False, emoji=False, highlight=False)
    if not made.is_terminal and "COLUMNS" not in made._environ:
        made.width = PIPE_WIDTH
    return made


def print_json(value: object, out: IO[str]) -> None:
    """One JSON document, all but ASCII escaped, so that no terminal acts on it and no value is changed."""
    out.write(json.dumps(plain(value), indent=2) + "\n")


def print_rows(columns: Sequence[str], rows: Iterable[Sequence[object]], form: Format, out: IO[str]) -> int:
    """Rows in the form asked for; returns how many. JSON and CSV are written as the rows come, a table at its end."""
    counted = _Count(rows)
    if form is Format.csv:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow([csv_cell(name) for name in columns])
        writer.writerows([csv_cell(value) for value in row] for row in counted)
    elif form is Format.json:
        out.write("[")
        for number, row in enumerate(counted):
            record = {name: plain(value) for name, value in zip(columns, row, strict=True)}
            out.write((",\n " if number else "\n ") + json.dumps(record))
        out.write("\n]\n" if counted.number else "]\n")
    else:
        _print_table(columns, counted, out)
    return counted.number


class _Count:
    """Counts what passes through."""

    def __init__(self, rows: Iterable[Sequence[object]]) -> None:
        self.rows = rows
        self.number = 0

    def __iter__(self) -> Iterator[Sequence[object]]:
        for row in self.rows:
            self.number += 1
            yield row


def _print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], out: IO[str]) -> None:
    """A table where the columns fit the screen, else one block a row."""
    from rich import box
    from rich.cells import cell_len
    from rich.table import Table
    from rich.text import Text

    held = list(rows)
    headings = [clean(name).replace("_", " ") for name in columns]  # so that a long name wraps between its words
    texts = [[cell(value) for value in row] for row in held]
    screen = console(out)
    narrow, natural = [], []
    for index, heading in enumerate(headings):
        words = max(map(cell_len, heading.split()), default=1)
        longest = max((cell_len(row[index]) for row in texts), default=0)
        is_text = any(isinstance(row[index], (str, list, dict)) for row in held)
        narrow.append(max(words, min(longest, max(NARROWEST, longest // 4)) if is_text else longest))
        natural.append(max(cell_len(heading), longest))
    widths = _widths(narrow, natural, screen.width - COLUMN_GAP * (len(headings) - 1))
    if widths is None:
        _print_blocks(columns, texts, screen)
        return
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True)
    for index, heading in enumerate(headings):
        is_right = bool(held) and all(_is_number(row[index]) or row[index] is None for row in held)
        justify: Literal["left", "right"] = "right" if is_right else "left"
        table.add_column(Text(heading), justify=justify, overflow="fold", width=widths[index])
    for row in texts:
        table.add_row(*map(Text, row))
    screen.print(table)


def _widths(narrow: Sequence[int], natural: Sequence[int], room: int) -> list[int] | None:
    """Column widths between the narrowest bearable and the natural ones, or None when even the narrowest do not fit.

    What room is left goes to the columns that need least first: one long column does not squeeze the short ones.
    """
    widths = list(narrow)
    room -= sum(widths)
    if room < 0:
        return None
    for index in sorted(range(len(widths)), key=lambda index: natural[index] - narrow[index]):
        extra = min(natural[index] - narrow[index], room)
        widths[index] += extra
        room -= extra
    return widths


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float, Decimal)) and not isinstance(value, bool)


def _print_blocks(columns: Sequence[str], rows: Sequence[Sequence[str]], screen: Console) -> None:
    from rich.table import Table
    from rich.text import Text

    for number, row in enumerate(rows, 1):
        screen.print(Text(f"── {number} ──", style="dim"))
        block = Table.grid(padding=(0, 2))
        block.add_column(no_wrap=True, style="dim")
        block.add_column(overflow="fold")
        for name, value in zip(columns, row, strict=True):
            block.add_row(Text(clean(name)), Text(value))
        screen.print(block)


def as_text(columns: Sequence[str], rows: Iterable[Sequence[object]], form: Format) -> str:
    """What `print_rows` prints, as a string."""
    out = io.StringIO()
    print_rows(columns, rows, form, out)
    return out.getvalue()
