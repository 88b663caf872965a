"""What came from outside is harmless in every form it is printed in, and still what it was in JSON."""

from __future__ import annotations

import csv
import io
import json
import unicodedata
from datetime import date

import pytest
from ecs_exposure.output import Format, as_text, clean, csv_cell
from hypothesis import given
from hypothesis import strategies as st

HOSTILE = [
    "=cmd|'/c calc'!A1",
    "[bold red]x[/]",
    "\x1b[2J\x1b]0;owned\x07",
    "a\u202eb",
    "+1",
    "-2+3",
    "@SUM(A1)",
    "\t=1",
    "\x9b31m",
    "＝1",
]


@given(st.text())
def test_clean_text_does_nothing_on_a_terminal(text: str) -> None:
    cleaned = clean(text)
    assert [
        character for character in cleaned if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp")
    ] == []
    assert clean(cleaned) == cleaned


@given(st.text(st.characters(blacklist_categories=("C", "Z"))))
def test_clean_text_keeps_what_is_only_letters(text: str) -> None:
    assert clean(text) == text


@given(st.lists(st.one_of(st.text(), st.lists(st.text()), st.dictionaries(st.text(), st.text()))))
def test_no_csv_cell_is_a_formula_or_holds_a_control_character(values: list[object]) -> None:
    """As a spreadsheet reads it: quotes taken off, leading blanks ignored."""
    if not values:
        return
    [header, row] = csv.reader(
        io.StringIO(as_text([f"c{index}" for index in range(len(values))], [values], Format.csv))
    )
    assert len(header) == len(row) == len(values)
    for text in row:
        assert not text.strip().startswith(("=", "+", "-", "@", "＝", "＋", "－", "＠"))
        assert all(unicodedata.category(character) not in ("Cc", "Cf", "Cs") for character in text)


def test_numbers_stay_numbers_in_csv_and_null_is_empty() -> None:
    assert [csv_cell(value) for value in (-3, -0.5, None, True, date(2026, 1, 2))] == [
        -3,
        -0.5,
        "",
        "true",
        date(2026, 1, 2),
    ]


@pytest.mark.parametrize("text", HOSTILE)
def test_json_gives_back_exactly_what_was_there_and_is_plain_ascii(text: str) -> None:
    printed = as_text(["name"], [[text]], Format.json)
    assert json.loads(printed) == [{"name": text}]
    assert printed.isascii() and "\x1b" not in printed


@pytest.mark.parametrize("text", HOSTILE)
def test_a_table_shows_markup_as_text_and_no_control_character(text: str) -> None:
    printed = as_text(["name"], [[text]], Format.table)
    assert "\x1b" not in printed and "\u202e" not in printed and "\x9b" not in printed
    assert clean(text).strip() in printed


def test_null_is_never_a_zero_in_a_table() -> None:
    assert as_text(["count", "name"], [[None, None], [0, ""]], Format.table).splitlines()[2].split() == ["–", "–"]


def test_an_empty_answer_is_still_well_formed() -> None:
    assert json.loads(as_text(["a"], [], Format.json)) == []
    assert as_text(["a", "b"], [], Format.csv) == "a,b\n"
