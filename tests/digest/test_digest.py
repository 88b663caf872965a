"""What owners are told: of a lake with a known week, of generated ones, and with names that mean harm."""

from __future__ import annotations

import csv
import io
import json
import tempfile
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from ecs_exposure import digest as digests
from ecs_exposure.cli import app
from ecs_exposure.lake import Lake
from ecs_exposure.output import clean, markdown
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from typer.testing import CliRunner, Result

from tests.results_lake import (
    BANDS,
    BETA,
    GAMMA,
    arn,
    change,
    commit,
    coverage,
    exposure,
    finding,
    fix,
    new_lake,
)

LAST = date(2026, 11, 23)
SEVERITIES = ("INFORMATIONAL", "LOW", "MEDIUM", "HIGH", "CRITICAL")
EVIL = "=1+1|[a](https://evil.example)`<img src=x onerror=alert(1)>`\x1b[2J\u202e *b* www.evil.example @all &lt;"

Row = dict[str, Any]


def day(number: int) -> date:
    """A day of November 2026."""
    return date(2026, 11, number)


def run(lake: Lake, *arguments: str, color: bool = False) -> Result:
    command = ["digest", "--lake", lake.location, *arguments]
    return CliRunner().invoke(app, command, env={"COLUMNS": "100"}, color=color)


def told(lake: Lake, *arguments: str) -> dict[str, Any]:
    result = run(lake, "--format", "json", *arguments)
    assert result.exit_code == 0, result.output
    parsed: dict[str, Any] = json.loads(result.stdout)
    return parsed


def services(owner: Row, section: str) -> list[str]:
    return [row["service_name"] for row in owner[section]["rows"]]


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[Lake]:
    """A week of team-a and of a service without an owner; nobody assessed the 19th, GAMMA is denied on the last day."""
    old = {"first_observed_date": day(1)}
    job = {"account": GAMMA, "owner": "team-a"}
    on_16 = [
        exposure("steady", "MEDIUM", day=day(16), due_date=day(20), **old),
        exposure("worse", "MEDIUM", day=day(16), due_date=day(30), **old),
        exposure("wave", "HIGH", day=day(16), due_date=day(30), **old),
        exposure("gone", "HIGH", day=day(16), due_date=day(17), driver="public_ip", **old),
        exposure("back", "LOW", day=day(16), due_date=day(30), **old),
        exposure("job", "MEDIUM", day=day(16), due_date=day(18), **job),
    ]
    on_22 = [
        exposure("steady", "MEDIUM", day=day(22), due_date=day(20), **old),
        exposure("worse", "HIGH", day=day(22), due_date=day(25), **old),
        exposure("wave", "CRITICAL", day=day(22), due_date=day(30), **old),
        exposure("fresh", "HIGH", day=day(22), due_date=day(24), score=71.0),
        exposure("job", "HIGH", day=day(22), due_date=day(18), **job),
        exposure("rule", "LOW", day=day(22), due_date=day(30), **old),
    ]
    with new_lake(tmp_path) as made:
        commit(made, day(16), {"exposure": on_16, "finding": [finding("gone")]})
        commit(made, day(17), {"exposure": on_16, "finding": [finding("gone")]})
        away = [
            change("gone", "resolved", before="HIGH", opened=day(1)),
            change("back", "resolved", before="LOW", opened=day(1)),
            change("wave", "worsened", before="HIGH", after="CRITICAL"),
            change("worse", "worsened", before="MEDIUM", after="HIGH"),
        ]
        commit(made, day(18), {"exposure": [row for row in on_16 if row["service_name"] not in ("gone", "back")],
                               "change": away})  # fmt: skip
        commit(made, day(20), {"exposure": on_22, "change": [
            change("fresh", "opened", after="HIGH"), change("rule", "opened", after="LOW", cause="rules"),
            change("job", "worsened", before="MEDIUM", after="HIGH", account=GAMMA),
        ]})  # fmt: skip
        commit(made, day(21), {"exposure": on_22})
        commit(made, day(22), {"exposure": on_22})
        carried = {"is_carried": True, "observed_date": day(22)}
        commit(made, LAST, {
            "coverage": [coverage(day=LAST), coverage(GAMMA, "denied", day=LAST, observed_date=day(22)),
                         coverage(BETA, "failed", day=LAST, message="timed out")],
            "exposure": [
                exposure("steady", "MEDIUM", day=LAST, due_date=day(20), is_minimum=True, **old),
                exposure("worse", "CRITICAL", day=LAST, due_date=day(25), **old),
                exposure("wave", "HIGH", day=LAST, due_date=day(30), **old),
                exposure("fresh", "HIGH", day=LAST, due_date=day(24), score=71.0, first_observed_date=day(20)),
                exposure("back", "LOW", day=LAST, due_date=LAST, **old),
                exposure("rule", "LOW", day=LAST, due_date=day(30), **old),
                exposure("job", "HIGH", day=LAST, due_date=day(18), **job, **carried),
                exposure("orphan", "LOW", day=LAST, owner=None, due_date=day(1)),
                exposure("gone", "INFORMATIONAL", day=LAST, **old),
            ],
            "change": [
                change("back", "opened", after="LOW"), change("worse", "worsened", before="HIGH", after="CRITICAL"),
                change("wave", "improved", before="CRITICAL", after="HIGH"),
            ],
            "fix": [fix("fresh", "Close the group", after="LOW"), fix("fresh", "Something else", rank=2),
                    fix("steady", "Rebuild it.", before="MEDIUM", after="MEDIUM")],
            "finding": [finding("fresh")],
        })  # fmt: skip
        yield made


# What is told


def test_new_is_what_opened_or_ended_worse_within_the_days(lake: Lake) -> None:
    [owner] = told(lake, "--owner", "team-a")["owners"]
    assert [
        (row["service_name"], row["change"], row["severity_before"], row["severity"], row["cause"], row["changed_date"])
        for row in owner["new"]["rows"]
    ] == [
        ("worse", "worsened", "MEDIUM", "CRITICAL", "estate", "2026-11-23"),
        ("fresh", "opened", None, "HIGH", "estate", "2026-11-20"),
        ("back", "opened", None, "LOW", "estate", "2026-11-23"),
        ("rule", "opened", None, "LOW", "rules", "2026-11-20"),
    ], "wave is back where it was; job was not seen"
    assert owner["open"] == 7


def test_what_was_not_seen_is_listed_apart_and_its_account_named(lake: Lake) -> None:
    [owner] = told(lake, "--owner", "team-a")["owners"]
    assert (services(owner, "new_carried"), services(owner, "overdue_carried")) == (["job"], ["job"])
    [row] = owner["overdue_carried"]["rows"]
    assert (row["observed_date"], row["days_overdue"]) == ("2026-11-22", 5)
    assert owner["accounts_not_seen"] == [{"account_id": GAMMA, "account_name": "sandbox"}], "BETA is not team-a's"


def test_overdue_counts_the_days_and_the_due_day_itself_is_in_time(lake: Lake) -> None:
    [owner] = told(lake, "--owner", "team-a")["owners"]
    assert [(row["service_name"], row["days_overdue"]) for row in owner["overdue"]["rows"]] == [("steady", 3)]
    assert {row["service_name"]: row["days_overdue"] for row in owner["new"]["rows"]}["back"] is None


def test_fixed_is_what_was_resolved_and_stays_so(lake: Lake) -> None:
    [owner] = told(lake, "--owner", "team-a")["owners"]
    [row] = owner["fixed"]["rows"]
    assert (row["service_name"], row["severity_before"], row["severity"], row["changed_date"]) == (
        "gone", "HIGH", None, "2026-11-18",
    )  # fmt: skip
    assert (row["driver"], row["first_observed_date"], row["due_date"], row["days_overdue"]) == (
        "public_ip", "2026-11-01", "2026-11-17", 1,
    ), "as it was on the assessed day before"  # fmt: skip
    assert row["finding_id"] == f"ecs-exposure/{arn('gone')}"
    assert told(lake, "--owner", "team-a", "--days", "5")["owners"][0]["fixed"]["total"] == 0


def test_each_row_has_its_best_fix_and_its_finding(lake: Lake) -> None:
    [owner] = told(lake, "--owner", "team-a")["owners"]
    rows = {row["service_name"]: row for row in owner["new"]["rows"]}
    assert (rows["fresh"]["fix"], rows["fresh"]["severity_after_fix"]) == ("Close the group", "LOW")
    assert rows["fresh"]["finding_id"] == f"ecs-exposure/{arn('fresh')}"
    assert (rows["worse"]["fix"], rows["worse"]["finding_id"]) == (None, None)


def test_without_a_name_every_owner_is_told_and_those_without_one_last(lake: Lake) -> None:
    owners = told(lake)["owners"]
    assert [owner["owner"] for owner in owners] == ["team-a", None]
    assert services(owners[1], "overdue") == ["orphan"]
    text = run(lake).stdout
    assert text.index("team-a") < text.index("no owner") < text.index("orphan")


def test_an_owner_with_nothing_to_tell_is_left_out_unless_asked_for(tmp_path: Path) -> None:
    with new_lake(tmp_path) as lake:
        for number in (22, 23):
            commit(lake, day(number), {"exposure": [exposure("calm", day=day(number), due_date=day(30))]})
        assert told(lake, "--days", "1")["owners"] == []
        assert "No owner has anything new" in run(lake).stdout
        assert "Nothing new, overdue or fixed; 1 open on 2026-11-23." in run(lake, "--owner", "team-a").stdout
        unknown = run(lake, "--owner", "team-x", "--owner", "team-a").stdout
    assert unknown.index("team-x") < unknown.index("No exposure is known of this owner") < unknown.index("team-a\n")


def test_days_that_nobody_assessed_are_named(lake: Lake) -> None:
    assert told(lake)["not_assessed"] == ["2026-11-19"]
    assert "Not assessed: 2026-11-19." in run(lake).stdout
    long = told(lake, "--days", "12")
    assert (long["since"], long["first_day"]) == ("2026-11-12", "2026-11-16")
    text = " ".join(run(lake, "--days", "12").stdout.split())
    assert "Not assessed: 2026-11-12 to 2026-11-15, 2026-11-19." in text
    assert "2026-11-16 is the first assessed day" in text
    assert told(lake, "--days", "7")["first_day"] is None


def test_another_day_is_told_as_of_that_day(lake: Lake) -> None:
    past = told(lake, "--owner", "team-a", "--date", "2026-11-20", "--days", "3")
    assert (past["since"], past["day"], past["owners"][0]["accounts_not_seen"]) == ("2026-11-18", "2026-11-20", [])
    assert services(past["owners"][0], "fixed") == ["gone", "back"]
    assert run(lake, "--date", "2026-11-19").exit_code == 3
    assert run(lake, "--days", "0").exit_code == 2


def test_lists_are_cut_in_text_and_whole_for_programs(tmp_path: Path) -> None:
    with new_lake(tmp_path) as lake:
        rows = [exposure(f"s{number:02}", "LOW", day=LAST, due_date=day(1)) for number in range(23)]
        commit(lake, LAST, {"exposure": rows})
        text, table = run(lake).stdout, run(lake, "--format", "csv").stdout
        assert "Overdue (23)" in text and "and 3 more (--limit)" in text and "s20" not in text
        assert "and 22 more" in run(lake, "--format", "markdown", "--limit", "1").stdout
        assert len(list(csv.DictReader(io.StringIO(table)))) == 23
        assert told(lake)["owners"][0]["overdue"]["total"] == 23
        cut = told(lake, "-n", "2")["owners"][0]["overdue"]
        assert (len(cut["rows"]), cut["total"]) == (2, 23)


def test_text_fits_a_hundred_columns_and_says_how_much_and_how_late(lake: Lake) -> None:
    text = run(lake, "--owner", "team-a").stdout
    assert max(map(len, text.splitlines())) <= 100
    words = " ".join(text.split())
    for said in (
        "5 new, 2 overdue (those not seen listed apart), 1 fixed; 7 open on 2026-11-23.",
        "Not completely seen on 2026-11-23, so in part unknown: sandbox 333333333333.",
        "Overdue, not seen on 2026-11-23: as last seen (1)",
        "was MEDIUM", "3 days overdue", "1 day late", "Close the group (HIGH becomes LOW)", "by our rules alone",
        "Rebuild it (lowers the score)", "at least: something was not seen",
    ):  # fmt: skip
        assert said in words, said


def test_csv_has_every_row_and_its_notes_go_to_standard_error(lake: Lake) -> None:
    result = run(lake, "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(result.stdout)))
    assert tuple(rows[0]) == digests.COLUMNS
    assert [(row["section"], row["service_name"]) for row in rows] == [
        ("new", "worse"), ("new", "fresh"), ("new", "back"), ("new", "rule"), ("new", "job"), ("overdue", "steady"),
        ("overdue", "job"), ("fixed", "gone"), ("overdue", "orphan"),
    ]  # fmt: skip
    assert "Not assessed: 2026-11-19" in result.stderr and "sandbox 333333333333" in result.stderr


def test_a_lake_without_an_assessed_day_says_so(tmp_path: Path) -> None:
    with new_lake(tmp_path) as lake:
        result = run(lake)
    assert result.exit_code == 3 and "ecs-exposure scan" in result.stderr


# Against a plain reading


HISTORIES = st.dictionaries(
    st.sampled_from(["a", "b", "c", "d"]), st.lists(st.sampled_from([None, *SEVERITIES]), min_size=5, max_size=5)
)


def level(severity: str | None) -> int:
    return SEVERITIES.index(severity or "INFORMATIONAL")


def moves(before: str | None, after: str | None) -> str | None:
    lower, higher = level(before), level(after)
    if lower == higher:
        return None
    if not lower or not higher:
        return "resolved" if lower else "opened"
    return "worsened" if higher > lower else "improved"


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(histories=HISTORIES, days=st.integers(1, 6), due=st.integers(1, 9))
def test_generated_weeks_are_told_as_a_plain_reading_has_them(
    histories: dict[str, list[str | None]], days: int, due: int
) -> None:
    """Services by name with their severity on each of five assessed days (None: no exposure), 2 to 6 November."""
    with tempfile.TemporaryDirectory() as folder, new_lake(Path(folder)) as lake:
        for index in range(5):
            today = day(2 + index)
            rows = [
                exposure(
                    name, severities[index] or "", day=today, due_date=day(due), score=BANDS[severities[index] or ""]
                )
                for name, severities in histories.items()
                if severities[index]
            ]
            changes = [
                change(name, kind, before=severities[index - 1], after=severities[index])
                for name, severities in histories.items()
                if index and (kind := moves(severities[index - 1], severities[index]))
            ]
            commit(lake, today, {"exposure": rows, "change": changes})
        found = digests.digest(lake, day(6), days, ["team-a"]).owners[0].sections
    first = max(5 - days, 0)  # index of the first day of the period
    expected: dict[str, set[str]] = {"new": set(), "overdue": set(), "fixed": set()}
    for name, severities in histories.items():
        now = level(severities[4])
        within = [level(severity) for severity in severities[max(first - 1, 0) :]]
        if now and (0 in within[:-1] or now > within[0]):
            expected["new"].add(name)
        if now and due < 6:
            expected["overdue"].add(name)
        if not now and any(within):
            expected["fixed"].add(name)
    for section, names in expected.items():
        assert {row["service_name"] for row in found[section].rows} == names, section


# Names from outside


@pytest.fixture
def hostile(tmp_path: Path) -> Iterator[Lake]:
    """Everything a stranger may write is hostile, in every section, carried or not."""
    evil = dict.fromkeys(("service_name", "cluster_name", "account_name", "owner"), EVIL)
    with new_lake(tmp_path) as made:
        commit(made, day(22), {"exposure": [exposure("gone", day=day(22), driver=EVIL, **evil)]})
        commit(made, LAST, {
            "coverage": [coverage(day=LAST, status="denied", message=EVIL)],
            "exposure": [
                exposure("api", day=LAST, driver=EVIL, due_date=day(1), **evil),
                exposure("job", day=LAST, driver=EVIL, due_date=day(1), is_carried=True, **evil),
            ],
            "change": [
                change("api", "opened", after="HIGH", **evil), change("job", "opened", after="HIGH", **evil),
                change("gone", "resolved", before="HIGH", **evil),
            ],
            "fix": [fix("api", EVIL)],
            "finding": [finding("api", finding_id=EVIL)],
        })  # fmt: skip
        yield made


def test_hostile_names_drive_no_terminal_and_no_spreadsheet(hostile: Lake) -> None:
    for form in ("text", "markdown", "csv"):
        for color in (False, True):
            result = run(hostile, "--format", form, color=color)
            assert result.exit_code == 0, result.output
            assert "\x1b[2J" not in result.output and "\u202e" not in result.output
    rows = list(csv.reader(io.StringIO(run(hostile, "--format", "csv").stdout)))
    assert not [text for row in rows for text in row if text.startswith(("=", "+", "-", "@"))]
    assert told(hostile)["owners"][0]["owner"] == EVIL


def parsed(text: str) -> list[Any]:
    """Inline tokens of Markdown with GitHub's tables and bare links, and HTML let through."""
    return [
        child
        for token in MarkdownIt("gfm-like", {"html": True, "linkify": True}).parse(text)
        for child in [token, *(token.children or [])]
    ]


def test_hostile_names_are_plain_words_in_markdown(hostile: Lake) -> None:
    tokens = parsed(run(hostile, "--format", "markdown").stdout)
    kinds = {token.type for token in tokens}
    assert not kinds & {"link_open", "image", "code_inline", "html_inline", "html_block", "em_open", "fence"}
    cells = [token.type for token in tokens if token.type in ("tr_open", "th_open", "td_open")]
    assert cells == ["tr_open", *["th_open"] * 8, "tr_open", *["td_open"] * 8] * 5, "five sections of one row each"
    shown = ["".join(child.content for child in token.children or []) for token in tokens if token.type == "inline"]
    assert shown.count(clean(EVIL)) == 1 + 5 + 2, "the owner's heading, each row's driver, and the finding told twice"


@given(st.text(max_size=60))
def test_markdown_shows_any_text_as_it_is(text: str) -> None:
    shown = markdown(text)
    inline = MarkdownIt("gfm-like", {"html": True, "linkify": True}).parseInline(f"x{shown}x")[0].children or []
    assert [token.type for token in inline if token.type not in ("text", "text_special")] == []
    assert "\n" not in shown and MarkdownIt("gfm-like").renderInline(f"x{shown}x").count("<") == 0
