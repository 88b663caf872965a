"""Accepted risks: the file in which an organisation says which risks it accepts, for what reason and until when.

A CSV file that people keep by hand (or in git): whatever is wrong in it is told with its line, all at once, and nothing
is assessed until it is right, so that no exposure is accepted, or no longer accepted, by a slip of the pen.
"""

from __future__ import annotations

import csv
import difflib
import io
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from ecs_exposure.models import trait_texts
from ecs_exposure.settings import PREFIX, Settings

COLUMNS = ("account", "service", "trait", "reason", "owner", "accepted_date", "expiry_date")
EVERY_TRAIT = "*"

MAX_FILE_BYTES = 10_000_000
MAX_REASON, MAX_OWNER, MAX_NAME = 500, 200, 255
PROBLEMS_TOLD = 50
VALUE_SHOWN = 60  # characters of a wrong value

# ECS API reference: names of clusters and services are up to 255 letters, digits, underscores and hyphens. With nothing
# but * and ? as wildcards, the slash of a pattern can only meet the slash between the two names.
_NAME = re.compile(r"[A-Za-z0-9_*?-]{1,255}")
_ACCOUNT = re.compile(r"[0-9*?]{1,12}")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


class AcceptedRisksError(ValueError):
    """The file of accepted risks cannot be read or has wrong lines; the message names the file and each line."""


@dataclass(frozen=True)
class AcceptedRisk:
    """One line of the file. It is in force from `accepted_date` until the day before `expiry_date`."""

    account: str
    service: str
    trait: str
    reason: str
    owner: str
    accepted_date: date
    expiry_date: date


def accepted_risks(settings: Settings) -> list[AcceptedRisk]:
    """The entries of the file that the settings name, in its order; none without a file. Raises AcceptedRisksError."""
    path = settings.accepted_risks_file
    if path is None:
        return []
    traits = [text.trait for text in trait_texts(settings.sql)]
    try:
        return parse(_content(path), traits, settings.accepted_risk_max_days)
    except AcceptedRisksError as error:
        raise AcceptedRisksError(f"{PREFIX}ACCEPTED_RISKS_FILE, {path}: {error}") from None


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise AcceptedRisksError(f"cannot be read: {error.strerror or error}") from None
    if len(content) > MAX_FILE_BYTES:
        raise AcceptedRisksError(f"larger than {MAX_FILE_BYTES // 1_000_000} MB: is it a list of accepted risks?")
    return content


def parse(content: bytes, traits: Collection[str], max_days: int) -> list[AcceptedRisk]:
    """The entries of a file's content (UTF-8 with or without a byte order mark, any line ends, quoted as in RFC 4180).

    `traits` are the names there are; no entry may last longer than `max_days`. Raises AcceptedRisksError telling every
    wrong line with its column and what it should be.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise AcceptedRisksError(f"line {line} is not UTF-8: save the file as CSV in UTF-8") from None
    problems: list[str] = []
    entries: list[AcceptedRisk] = []
    lines_of: dict[tuple[object, ...], int] = {}
    records = _records(text, problems)
    line, header = next(records, (1, []))
    if tuple(header) != COLUMNS:
        raise AcceptedRisksError(
            f"line {line} is {_shown(','.join(header))}; the first line must be the header {','.join(COLUMNS)}"
        )
    for line, values in records:
        if len(values) != len(COLUMNS):
            problems.append(
                f"line {line}: has {len(values)} fields, must have {len(COLUMNS)} ({', '.join(COLUMNS)}); "
                "a field with a comma in it stands in double quotes"
            )
            continue
        fields = dict(zip(COLUMNS, values, strict=True))
        wrong = dict(_wrong(fields, traits, max_days))
        problems += [f"line {line}, column {column}: {told}" for column, told in wrong.items()]
        if wrong:
            continue
        begin, end = (date.fromisoformat(fields[name]) for name in ("accepted_date", "expiry_date"))
        entry = AcceptedRisk(
            fields["account"], fields["service"], fields["trait"], fields["reason"], fields["owner"], begin, end
        )
        key = (entry.account, entry.service, entry.trait, entry.accepted_date)
        if key in lines_of:
            problems.append(
                f"line {line}: repeats line {lines_of[key]} (same account, service, trait and accepted_date); keep one"
            )
            continue
        lines_of[key] = line
        entries.append(entry)
    if problems:
        more = f"\n  … and {len(problems) - PROBLEMS_TOLD} more" if len(problems) > PROBLEMS_TOLD else ""
        raise AcceptedRisksError(
            "wrong, so that nothing is assessed until it is corrected\n  "
            + "\n  ".join(problems[:PROBLEMS_TOLD])
            + more
        )
    return entries


def _records(text: str, problems: list[str]) -> Iterator[tuple[int, list[str]]]:
    """Line number and trimmed fields of each record that is not blank; what is no CSV goes to `problems`."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    while True:
        line = reader.line_num + 1
        try:
            values = [value.strip() for value in next(reader)]
        except StopIteration:
            return
        except csv.Error as error:
            problems.append(f"line {line}: is not CSV ({error}): is a double quote missing, or one too many?")
            continue
        if any(values):
            yield line, values


def _wrong(fields: dict[str, str], traits: Collection[str], max_days: int) -> Iterator[tuple[str, str]]:
    """Column and what is wrong with it."""
    account, service = fields["account"], fields["service"]
    if not _may_match_account(account):
        yield (
            "account",
            f"{_shown(account)} is neither an account id of 12 digits (spreadsheets drop leading zeros) "
            "nor digits with the wildcards * and ?",
        )
    names = service.split("/")
    if len(names) > 2 or not all(_NAME.fullmatch(name) for name in names):
        yield (
            "service",
            f"{_shown(service)} is neither a service nor cluster/service "
            "(letters, digits, - and _, with the wildcards * and ?)",
        )
    if fields["trait"] != EVERY_TRAIT and fields["trait"] not in traits:
        near = difflib.get_close_matches(fields["trait"], traits, 1)
        hint = (
            f"did you mean {near[0]}?" if near else "write a trait's name as `ecs-exposure show` has it, or * for all"
        )
        yield "trait", f"{_shown(fields['trait'])} is not the name of a trait: {hint}"
    for column, most in (("reason", MAX_REASON), ("owner", MAX_OWNER)):
        value = fields[column]
        if not value:
            yield column, "is empty: say why, and who answers for it" if column == "reason" else "is empty: say who"
        elif len(value) > most:
            yield column, f"has {len(value)} characters, at most {most} are allowed"
        elif hidden := next((letter for letter in value if not letter.isprintable()), None):
            yield column, f"holds the invisible character U+{ord(hidden):04X}: take it out (a line break, a tab?)"
    begin, end = _date(fields["accepted_date"]), _date(fields["expiry_date"])
    for column, day in (("accepted_date", begin), ("expiry_date", end)):
        if day is None:
            yield column, f"{_shown(fields[column])} is not a date written YYYY-MM-DD"
    if begin and end:
        if end <= begin:
            yield "expiry_date", f"{end} is not after the accepted_date {begin}"
        elif (days := (end - begin).days) > max_days:
            yield (
                "expiry_date",
                f"{end} is {days} days after the accepted_date {begin}, at most {max_days} are allowed "
                f"({PREFIX}ACCEPTED_RISK_MAX_DAYS)",
            )


def _may_match_account(pattern: str) -> bool:
    fixed = len(pattern.replace("*", ""))
    return bool(_ACCOUNT.fullmatch(pattern)) and ("*" in pattern or fixed == 12)


def _date(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if _DATE.fullmatch(text) else None
    except ValueError:
        return None


def _shown(value: str) -> str:
    """A wrong value as it stands, what is invisible escaped."""
    return repr(value if len(value) <= VALUE_SHOWN else value[: VALUE_SHOWN - 1] + "…")
