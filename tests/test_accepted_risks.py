"""The file of accepted risks: what it may say, and that whatever is wrong in it is told and stops the assessment."""

from __future__ import annotations

import csv
import io
from datetime import date, timedelta
from pathlib import Path

import pytest
from ecs_exposure.accepted_risks import (
    COLUMNS,
    MAX_REASON,
    PROBLEMS_TOLD,
    AcceptedRisk,
    AcceptedRisksError,
    accepted_risks,
    parse,
)
from ecs_exposure.settings import load
from hypothesis import given
from hypothesis import strategies as st

TRAITS = ("open_security_group", "public_ip", "vulnerability")
HEADER = ",".join(COLUMNS)
LINE = {
    "account": "111111111111",
    "service": "main/web",
    "trait": "public_ip",
    "reason": "public by contract",
    "owner": "team-a",
    "accepted_date": "2026-01-10",
    "expiry_date": "2026-07-01",
}
ENTRY = AcceptedRisk(
    "111111111111", "main/web", "public_ip", "public by contract", "team-a", date(2026, 1, 10), date(2026, 7, 1)
)


def line(**changes: str) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerow((LINE | changes).values())
    return out.getvalue().removesuffix("\n")


def read(*lines: str, max_days: int = 365) -> list[AcceptedRisk]:
    return parse("\n".join((HEADER, *lines)).encode(), TRAITS, max_days)


def error_of(*lines: str, max_days: int = 365) -> str:
    with pytest.raises(AcceptedRisksError) as caught:
        read(*lines, max_days=max_days)
    return str(caught.value)


def test_a_line_is_an_entry() -> None:
    assert read(line()) == [ENTRY]
    assert read() == []


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbf" + f"{HEADER}\n{line()}\n".encode(),
        f"{HEADER}\r\n{line()}\r\n".encode(),
        f"{HEADER}\r{line()}".encode(),
        f"\n{HEADER}\n\n ,,,,,,\n{line()}\n\n".encode(),
        f"{HEADER}\n{','.join(f' {value} ' for value in LINE.values())}\n".encode(),
        (f"{HEADER}\n" + ",".join(f'"{value}"' for value in LINE.values())).encode(),
    ],
    ids=["byte order mark", "CRLF", "CR", "blank lines", "spaces around", "all quoted"],
)
def test_what_editors_and_spreadsheets_write_is_the_same_file(content: bytes) -> None:
    assert parse(content, TRAITS, 365) == [ENTRY]


def test_commas_and_quotes_stand_in_quoted_fields() -> None:
    [entry] = read(line(reason='asked by "Ops", twice'))
    assert entry.reason == 'asked by "Ops", twice'


@pytest.mark.parametrize("account", ["*", "1234*", "????11111111", "111111111111", "*42"])
@pytest.mark.parametrize("service", ["*", "web", "web-*", "main/web", "*/web", "prod-?/*"])
@pytest.mark.parametrize("trait", ["*", "public_ip"])
def test_accounts_services_and_traits_may_be_patterns(account: str, service: str, trait: str) -> None:
    [entry] = read(line(account=account, service=service, trait=trait))
    assert (entry.account, entry.service, entry.trait) == (account, service, trait)


@pytest.mark.parametrize(
    ("column", "value", "told"),
    [
        ("account", "", "12 digits"),
        ("account", "11111111111", "spreadsheets drop leading zeros"),
        ("account", "1.11111E+11", "12 digits"),
        ("account", "????", "12 digits"),
        ("account", "[1]*", "12 digits"),
        ("account", "١١١١١١١١١١١١", "12 digits"),
        ("service", "", "cluster/service"),
        ("service", "a/b/c", "cluster/service"),
        ("service", "main/", "cluster/service"),
        ("service", "arn:aws:ecs:eu-west-1:111111111111:service/main/web", "cluster/service"),
        ("service", "we[bc]", "cluster/service"),
        ("service", "w\x00b", "cluster/service"),
        ("service", "w" * 256, "cluster/service"),
        ("trait", "", "not the name of a trait"),
        ("trait", "public-ip", "did you mean public_ip"),
        ("trait", "public*", "not the name of a trait"),
        ("reason", "", "is empty"),
        ("reason", "   ", "is empty"),
        ("reason", "x" * (MAX_REASON + 1), f"has {MAX_REASON + 1} characters"),
        ("reason", "a\x00b", "U+0000"),
        ("reason", "two\nlines", "U+000A"),
        ("reason", "looks\u202eharmless", "U+202E"),
        ("reason", "\x1b[2Jgone", "U+001B"),
        ("owner", "", "is empty"),
        ("owner", "x" * 201, "has 201 characters"),
        ("accepted_date", "", "YYYY-MM-DD"),
        ("accepted_date", "10.01.2026", "YYYY-MM-DD"),
        ("accepted_date", "20260110", "YYYY-MM-DD"),
        ("expiry_date", "2026-02-30", "YYYY-MM-DD"),
        ("expiry_date", "2026-01-10", "not after the accepted_date"),
        ("expiry_date", "2026-01-09", "not after the accepted_date"),
        ("expiry_date", "2027-01-11", "at most 365 are allowed"),
        ("expiry_date", "9999-12-31", "at most 365 are allowed"),
    ],
)
def test_a_wrong_field_is_told_with_its_line_column_and_what_it_should_be(column: str, value: str, told: str) -> None:
    message = error_of(line(), line(**{"trait": "vulnerability", column: value}))
    assert f"line 3, column {column}: " in message
    assert told in message
    assert message.isprintable() or "\n" in message
    assert all(character.isprintable() or character == "\n" for character in message), "safe on a terminal"


def test_the_longest_time_is_a_setting() -> None:
    assert read(line(expiry_date="2026-01-11"), max_days=1)
    assert "ECS_EXPOSURE_ACCEPTED_RISK_MAX_DAYS" in error_of(line(expiry_date="2026-01-12"), max_days=1)


def test_all_wrong_lines_are_told_at_once() -> None:
    message = error_of(line(account="x", owner=""), line(), "one,two", line(), line(trait="nothing_known"))
    for told in ("line 2, column account", "line 2, column owner", "line 4: has 2 fields", "line 5: repeats line 3",
                 "line 6, column trait"):  # fmt: skip
        assert told in message
    many = error_of(*["x"] * (PROBLEMS_TOLD + 7))
    assert len(many.splitlines()) == PROBLEMS_TOLD + 2
    assert "and 7 more" in many


def test_the_same_risk_may_be_accepted_again_later_and_not_twice_from_one_day_on() -> None:
    assert len(read(line(), line(accepted_date="2026-07-01", expiry_date="2026-12-01"))) == 2
    assert "line 3: repeats line 2" in error_of(line(), line(expiry_date="2026-08-01", owner="somebody else"))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "the first line must be the header"),
        (line().encode(), "the first line must be the header"),
        (HEADER.replace(",", ";").encode(), "the first line must be the header"),
        (HEADER.upper().encode(), "the first line must be the header"),
        (f"{HEADER},note\n".encode(), "the first line must be the header"),
        (f"{HEADER}\n{line()}".encode("utf-16"), "not UTF-8"),
        (f"{HEADER}\n{line(reason='façade')}".encode("latin-1"), "line 2 is not UTF-8"),
        (f'{HEADER}\n{line()}\n1,"never closed,\n{line()}\n'.encode(), "line 3: is not CSV"),
        (f'{HEADER}\n"a"b\n{line(trait="x")}\n'.encode(), "line 3, column trait"),
        (f"{HEADER}\n{'x' * 200_000}\n".encode(), "line 2: is not CSV"),
        (b"\x00" * 1000, "the first line must be the header"),
    ],
    ids=["empty", "no header", "semicolons", "upper case", "a column more", "UTF-16", "Latin-1", "open quote",
         "stray quote", "huge field", "zeros"],
)  # fmt: skip
def test_what_is_no_such_file_is_refused(content: bytes, told: str) -> None:
    with pytest.raises(AcceptedRisksError, match=told):
        parse(content, TRAITS, 365)


def test_the_file_is_named_and_traits_are_those_of_the_sql_folder(tmp_path: Path) -> None:
    file = tmp_path / "risks.csv"
    assert accepted_risks(load()) == []
    with pytest.raises(AcceptedRisksError, match=r"ECS_EXPOSURE_ACCEPTED_RISKS_FILE, .*risks\.csv: cannot be read"):
        accepted_risks(load(accepted_risks_file=file))
    with pytest.raises(AcceptedRisksError, match="cannot be read"):
        accepted_risks(load(accepted_risks_file=tmp_path))
    file.write_text(f"{HEADER}\n{line()}\n{line(trait='has_trust_policy_hijack_path')}\n")
    assert [entry.trait for entry in accepted_risks(load(accepted_risks_file=file))] == [
        "public_ip", "has_trust_policy_hijack_path",
    ]  # fmt: skip
    file.write_bytes(b"x" * 10_000_001)
    with pytest.raises(AcceptedRisksError, match="larger than 10 MB"):
        accepted_risks(load(accepted_risks_file=file))


TEXT = st.text(st.characters(exclude_categories=("C", "Z"), include_characters=" "), min_size=1, max_size=40).filter(
    str.strip
)
DAYS = st.dates(date(2000, 1, 1), date(2100, 1, 1))
RISKS = st.lists(
    st.builds(
        lambda account, service, trait, reason, owner, begin, days: AcceptedRisk(
            account, service, trait, reason.strip(), owner.strip(), begin, begin + timedelta(days=days)
        ),
        st.one_of(
            st.from_regex(r"[0-9]{12}", fullmatch=True), st.from_regex(r"[0-9]{0,4}\*[0-9]{0,4}", fullmatch=True)
        ),
        st.from_regex(r"[A-Za-z0-9_*?-]{1,20}(/[A-Za-z0-9_*?-]{1,20})?", fullmatch=True),
        st.sampled_from((*TRAITS, "*")),
        TEXT,
        TEXT,
        DAYS,
        st.integers(1, 365),
    ),
    max_size=6,
    unique_by=lambda risk: (risk.account, risk.service, risk.trait, risk.accepted_date),
)


def written(risks: list[AcceptedRisk], line_end: str = "\n", *, quoted: bool = False) -> str:
    out = io.StringIO()
    writer = csv.writer(out, lineterminator=line_end, quoting=csv.QUOTE_ALL if quoted else csv.QUOTE_MINIMAL)
    writer.writerow(COLUMNS)
    writer.writerows([getattr(risk, name) for name in COLUMNS] for risk in risks)
    return out.getvalue()


@given(RISKS, st.sampled_from(["\n", "\r\n", "\r"]), st.booleans(), st.booleans())
def test_what_was_written_is_read(risks: list[AcceptedRisk], line_end: str, quoted: bool, marked: bool) -> None:
    content = written(risks, line_end, quoted=quoted).encode("utf-8-sig" if marked else "utf-8")
    assert parse(content, TRAITS, 365) == risks


@given(st.one_of(st.binary(max_size=300), st.text(max_size=300).map(lambda text: text.encode("utf-8", "ignore"))))
def test_whatever_the_file_holds_it_is_read_or_refused_in_plain_words(tail: bytes) -> None:
    for content in (tail, f"{HEADER}\n".encode() + tail):
        try:
            entries = parse(content, TRAITS, 365)
        except AcceptedRisksError as error:
            assert "line " in str(error)
        else:
            assert all(entry.reason and entry.owner and entry.trait in (*TRAITS, "*") for entry in entries)
            assert all(0 < (entry.expiry_date - entry.accepted_date).days <= 365 for entry in entries)


@given(RISKS.filter(bool), st.data())
def test_one_wrong_line_among_right_ones_refuses_all_and_is_the_one_told(
    risks: list[AcceptedRisk], data: st.DataObject
) -> None:
    number = data.draw(st.integers(0, len(risks) - 1))
    column, value = data.draw(
        st.sampled_from([("account", "12"), ("service", "a//b"), ("trait", "none"), ("reason", ""), ("owner", "\x07x"),
                         ("accepted_date", "soon"), ("expiry_date", "1999-01-01")])
    )  # fmt: skip
    lines = written(risks).splitlines()
    fields = dict(zip(COLUMNS, next(csv.reader([lines[number + 1]])), strict=True)) | {column: value}
    out = io.StringIO()
    csv.writer(out, lineterminator="").writerow(fields.values())
    lines[number + 1] = out.getvalue()
    with pytest.raises(AcceptedRisksError) as caught:
        parse("\n".join(lines).encode(), TRAITS, 365)
    told = [text.strip() for text in str(caught.value).splitlines()[1:]]
    assert [text.partition(":")[0] for text in told] == [f"line {number + 2}, column {column}"]
