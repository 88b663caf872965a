"""Accepted risks from the file to what is printed and told, on a lake that is assessed on two days."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
from ecs_exposure import databases, models
from ecs_exposure.accepted_risks import COLUMNS, AcceptedRisksError
from ecs_exposure.assessing import assess
from ecs_exposure.cli import app
from ecs_exposure.lake import Lake
from ecs_exposure.schemas.snapshots import SNAPSHOTS
from ecs_exposure.securityhub.documents import document
from ecs_exposure.settings import load
from typer.testing import CliRunner, Result

from tests.exposures.estate import cve, merged, service
from tests.results_lake import commit, exposure, new_lake
from tests.sql_harness import ACCOUNT, DAY, GLOBAL, REGION, SQL, filled

WEB = f"arn:aws:ecs:{REGION}:{ACCOUNT}:service/main/web"
NEXT = DAY + timedelta(days=1)
UNTIL = DAY + timedelta(days=30)
EVIL = '=HYPERLINK("x")[red]'
RISKS = (
    ("*", "web", "*", f"reviewed with {EVIL} and found bearable", "ciso@example.com", DAY, NEXT),
    (ACCOUNT, "main/web-two", "internet_reachable", "meant to be public", "team-a", DAY, UNTIL),
    (ACCOUNT, "main/web-two", "host_network_mode", "a slip of the pen", "team-a", DAY, UNTIL),
    ("*", "*", "public_ip", "was for last year", "team-a", DAY - timedelta(days=300), DAY - timedelta(days=1)),
)


def risks_file(folder: Path, *lines: tuple[object, ...]) -> Path:
    file = folder / "accepted_risks.csv"
    with file.open("w", encoding="utf-8", newline="") as out:
        csv.writer(out).writerows((COLUMNS, *lines))
    return file


def snapshot(lake: Lake, day: date) -> None:
    """Two public services with a likely vulnerability in the image they share."""
    rows = merged(service(public=True, cves=[cve(epss=0.5)]), service(public=True, suffix="-two", cves=[cve(epss=0.5)]))
    writer = lake.writer(day, "night")
    for name, items in rows.items():
        writer.write(SNAPSHOTS[name], SNAPSHOTS[name].to_arrow([filled(SNAPSHOTS[name], item, day) for item in items]))
    writer.commit(
        [
            {
                "account_id": ACCOUNT, "region": region, "dataset": name, "status": "ok",
                "rows": len(rows.get(name, ())),
                "api_calls": 1, "collected_at": datetime(day.year, day.month, day.day, tzinfo=UTC),
                "observed_date": day, "file": writer.file if rows.get(name) else None,
            }
            for name in SNAPSHOTS
            for region in ["global" if name in GLOBAL else REGION]
        ]
    )  # fmt: skip


@pytest.fixture(scope="module")
def location(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("accepted")
    place = str(folder / "lake")
    settings = load(lake=place, accepted_risks_file=risks_file(folder, *RISKS))
    with Lake.open(place, create=True) as lake:
        for day in (DAY, NEXT):
            snapshot(lake, day)
            assess(settings, lake, day)
    return place


@pytest.fixture
def run(location: str) -> Callable[..., Result]:
    def invoke(*arguments: str, day: date = DAY) -> Result:
        return CliRunner().invoke(app, [*arguments, "--lake", location, "--date", str(day)], env={"COLUMNS": "100"})

    return invoke


def rows(result: Result) -> list[dict[str, Any]]:
    assert result.exit_code == 0, result.output
    return list(json.loads(result.stdout))


def flat(result: Result) -> str:
    assert result.exit_code == 0, result.output
    lines = [line for line in result.stdout.splitlines() if not line.startswith(("Lake ", "Data Docs "))]
    assert max(map(len, lines)) <= 100
    return " ".join(result.stdout.split())


def test_the_entries_are_listed_with_what_to_do_about_them(run: Callable[..., Result]) -> None:
    listed = {row["trait"]: row for row in rows(run("accepted-risks", "--format", "json"))}
    assert [(trait, row["state"], row["services"], row["accepted_exposures"]) for trait, row in listed.items()] == [
        ("public_ip", "expired", 2, 0),
        ("*", "in_force", 1, 1),
        ("host_network_mode", "in_force", 0, 0),
        ("internet_reachable", "in_force", 1, 0),
    ]
    told = {trait: row["what_to_do"] or "" for trait, row in listed.items()}
    assert told["*"] == ""
    assert "expired" in told["public_ip"] and "never matched" in told["host_network_mode"]
    assert "explain" in told["internet_reachable"]
    text = flat(run("accepted-risks"))
    for words in ("in force", "expired", "never matched a service", "ciso@example.com", EVIL, "4 accepted risks on"):
        assert words in text
    assert "'=" not in run("accepted-risks", "--format", "csv").stdout, "the formula is inside a text"


def test_show_marks_the_accepted_and_filters_them(run: Callable[..., Result]) -> None:
    text = flat(run("show"))
    assert "HIGH ✓" in text and "accepted until" in text and "✓ accepted until the day named" in text
    assert [row["service_name"] for row in rows(run("show", "--accepted", "--format", "json"))] == ["web"]
    assert [row["service_name"] for row in rows(run("show", "--not-accepted", "--format", "json"))] == ["web-two"]
    assert len(rows(run("show", "--format", "json"))) == 2
    assert run("show", "--not-accepted", "--owner", "nobody", "--fail-on", "LOW").exit_code == 0
    assert run("show", "--not-accepted", "--fail-on", "HIGH").exit_code == 4


def test_an_accepted_exposure_returns_by_itself(run: Callable[..., Result]) -> None:
    before = {row["service_name"]: row for row in rows(run("show", "--format", "json"))}
    after = {row["service_name"]: row for row in rows(run("show", "--format", "json", day=NEXT))}
    assert (before["web"]["accepted_until"], after["web"]["accepted_until"]) == (str(NEXT), None)
    assert before["web"]["severity"] == after["web"]["severity"] == after["web-two"]["severity"]
    assert flat(run("show", day=NEXT)).count("✓") == 0


def test_explain_says_until_when_or_what_is_lacking(run: Callable[..., Result]) -> None:
    assert f"accepted until {NEXT} by ciso@example.com: reviewed with {EVIL}" in flat(run("explain", WEB))
    other = flat(run("explain", "web-two"))
    assert (
        "no: internet_reachable would be, but not high_priority_vulnerability, open_security_group, public_ip" in other
    )
    text = flat(run("explain", WEB, day=NEXT))
    assert "rests on high_priority_vulnerability, internet_reachable, open_security_group, public_ip" in text


def test_the_summary_says_it_in_one_line(run: Callable[..., Result]) -> None:
    assert "1 exposure accepted by 4 accepted risks (1 expired, 1 in force match nothing)" in flat(run("summary"))
    assert "0 exposures accepted by 4 accepted risks (2 expired, 1 in force" in flat(run("summary", day=NEXT))


def test_what_to_fix_first_leaves_accepted_exposures_out(run: Callable[..., Result]) -> None:
    for options in ((), ("--owner", "team-a")):
        text = flat(run("fix-first", *options))
        assert "1 HIGH exposures away, of 1 open" in text and "1 accepted exposure is left out" in text
        assert {tuple(row["resource_ids"]) for row in rows(run("fix-first", "--format", "json", *options))} == {
            (f"{WEB}-two",)
        }
        assert "2 HIGH exposures away, of 2 open" in flat(run("fix-first", *options, day=NEXT))


def documents(connection: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    """Rows of document.sql for all findings of `today`."""
    select = (SQL / "documents" / "document.sql").read_text(encoding="utf-8")
    asked = [identity for (identity,) in connection.sql("select finding_id from today.finding").fetchall()]
    rows: list[dict[str, Any]] = connection.sql(select, params={"finding_ids": asked}).to_arrow_table().to_pylist()
    return rows


def test_the_finding_stays_active_and_says_until_when(location: str) -> None:
    texts = {text.trait: text for text in models.trait_texts(SQL)}
    told: dict[str, Any] = {}
    with Lake.open(location) as lake, databases.connect() as connection:
        lake.attach_results(connection, DAY, "today")
        for row in documents(connection):
            told[row["service_name"]] = document(row, texts, "aws")
    accepted, other = told["web"], told["web-two"]
    assert accepted["RecordState"] == other["RecordState"] == "ACTIVE"
    assert accepted["FindingProviderFields"] == other["FindingProviderFields"]
    assert accepted["ProductFields"]["accepted_until"] == str(NEXT)
    assert f"Accepted until {NEXT} by ciso@example.com: reviewed with {EVIL}" in accepted["Description"]
    assert "accepted_until" not in other["ProductFields"] and "Accepted" not in other["Description"]


def test_a_long_reason_leaves_room_for_the_traits(location: str) -> None:
    with Lake.open(location) as lake, databases.connect() as connection:
        lake.attach_results(connection, DAY, "today")
        row = documents(connection)[0]
    said = {"accepted_until": NEXT, "accepted_by": "o" * 200, "accepted_reason": "r " * 250}
    finding = document(row | said, {}, "aws")
    assert len(finding["Description"]) <= 1024
    assert "public ip" in finding["Description"]


@pytest.mark.parametrize(("trait", "days"), [("no_such_trait", 30), ("*", 366)])
def test_a_wrong_file_stops_the_assessment_and_leaves_the_day_as_it_was(tmp_path: Path, trait: str, days: int) -> None:
    wrong = ("*", "web", trait, "why", "who", DAY, DAY + timedelta(days=days))
    file = risks_file(tmp_path, RISKS[1], wrong)
    place = str(tmp_path / "lake")
    with Lake.open(place, create=True) as lake:
        snapshot(lake, DAY)
        with pytest.raises(AcceptedRisksError, match="line 3, column"):
            assess(load(lake=place, accepted_risks_file=file), lake, DAY)
        assert lake.days() == []
    environment = {"ECS_EXPOSURE_ACCEPTED_RISKS_FILE": str(file), "COLUMNS": "100"}
    checked = CliRunner().invoke(app, ["accepted-risks", "--check"], env=environment)
    assert checked.exit_code == 2
    assert str(file) in checked.stderr and "line 3, column" in checked.stderr
    risks_file(tmp_path, RISKS[1])
    checked = CliRunner().invoke(app, ["accepted-risks", "--check"], env=environment)
    assert checked.exit_code == 0 and "1 accepted risk, nothing is wrong" in checked.stderr


def test_a_lake_without_accepted_risks_has_nothing_to_say_of_them(tmp_path: Path) -> None:
    with new_lake(tmp_path) as lake:
        commit(lake, DAY, {"exposure": [exposure("api", day=DAY)]})
        told = {
            command: flat(CliRunner().invoke(app, [command, "--lake", lake.location], env={"COLUMNS": "100"}))
            for command in ("accepted-risks", "summary", "show")
        }
    assert "No accepted risk on" in told["accepted-risks"]
    assert not any("accepted by" in text or "✓" in text for text in told.values())
