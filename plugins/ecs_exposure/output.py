"""Rows on the screen, as JSON or as CSV, with everything that came from outside made harmless for where it is shown.

Names, tags and descriptions are written by whoever owns an account, so they may hold escape sequences that drive a terminal, letters that
reverse the reading order, rich's markup, or a spreadsheet formula.
"""

from __future__ import annotations

import csv
import io
import json
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

_BREAKS = "\t\n\v\f\r\x85\u2028\u2029"
_SPACES = str.maketrans(dict.fromkeys(_BREAKS, " "))
_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})  # control, format (bidi, zero width), lone surrogates, separators
_FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠")  # the wide ones start a formula in East Asian editions of Excel

PIPE_WIDTH = 100  # columns when standard output is a file or a pipe and COLUMNS does not say


class Format(str, Enum):
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

    Numbers stay numbers; text gets a leading apostrophe when a spreadsheet would calculate it, and loses control characters.
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
    """One JSON document, ASCII only: what is not ASCII is escaped, so that no terminal acts on it and no value is changed."""
    out.write(json.dumps(plain(value), indent=2) + "\n")


def print_rows(columns: Sequence[str], rows: Iterable[Sequence[object]], form: Format, out: IO[str]) -> int:
    """Rows in the form asked for; returns how many. JSON and CSV are written as the rows come, a table is held until its end."""
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
    from rich import box
    from rich.table import Table
    from rich.text import Text

    held = list(rows)
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for index, name in enumerate(columns):
        is_number = all(isinstance(row[index], (int, float, Decimal)) or row[index] is None for row in held)
        is_right = bool(held) and is_number and not any(isinstance(row[index], bool) for row in held)
        table.add_column(Text(clean(name)), justify="right" if is_right else "left", overflow="fold")
    for row in held:
        table.add_row(*(Text(cell(value)) for value in row))
    console(out).print(table)


def as_text(columns: Sequence[str], rows: Iterable[Sequence[object]], form: Format) -> str:
    """What `print_rows` prints, as a string."""
    out = io.StringIO()
    print_rows(columns, rows, form, out)
    return out.getvalue()
