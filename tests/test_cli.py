"""The command line on real lakes: what it prints in each form, what it exits with, what it refuses."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from ecs_exposure.cli import app
from ecs_exposure.lake import Lake
from ecs_exposure.schemas.results import RESULTS
from typer.testing import CliRunner, Result

from tests.results_lake import (
    ALPHA,
    BETA,
    GAMMA,
    arn,
    change,
    commit,
    coverage,
    driver,
    exposure,
    finding,
    fix,
    lifecycle,
    new_lake,
    publication,
    trait_hit,
)

ROOT = Path(__file__).parents[1]
OLD, LAST = date(2026, 11, 22), date(2026, 11, 23)
NIGHT = datetime(2026, 11, 23, 3, tzinfo=UTC)
EVIL = '=HYPERLINK("x")[red]\x1b[2J\u202e'
Run = Callable[..., Result]


@pytest.fixture
def lake(tmp_path: Path) -> Iterator[Lake]:
    """Two days: api is worse, web is gone, job belongs to an account that refuses access today, quiet has no driver."""
    with new_lake(tmp_path) as made:
        web = exposure("web", "HIGH", day=OLD, account=BETA, owner="team-b")
        job = {"account": GAMMA, "owner": None, "traits": ["host_network_mode"]}
        commit(
            made, OLD, {"exposure": [exposure("api", "HIGH", day=OLD), web, exposure("job", "MEDIUM", day=OLD, **job)]}
        )
        vulnerability = {
            "registry_account": ALPHA,
            "region": "eu-west-1",
            "repository_name": "shop/api",
            "image_digest": "sha256:aa",
            "vulnerability_id": "CVE-2021-44228",
            "package_name": "log4j-core",
            "severity": "CRITICAL",
            "probability": 1.0,
            "kev": True,
            "is_kernel_package": False,
            "high_priority": True,
            "is_suppressed": False,
            "fixed_in_version": "2.17.1",
            "is_carried": False,
            "observed_date": LAST,
        }
        place = {"account_id": ALPHA, "region": "eu-west-1", "resource_id": arn("api")}
        commit(
            made,
            LAST,
            {
                "coverage": [
                    coverage(day=LAST),
                    coverage(BETA, day=LAST),
                    coverage(GAMMA, "denied", day=LAST, message="may not assume the read role", observed_date=OLD),
                    coverage(BETA, "not_enabled", day=LAST, dataset="image_coverage"),
                ],
                "exposure": [
                    exposure(
                        "api",
                        "CRITICAL",
                        day=LAST,
                        likelihood="Very High",
                        impact="Medium",
                        driver="CVE-2021-44228",
                        vulnerability_count=1,
                        driver_rule="BOD 26-04, 3 days",
                        impact_reason="broad data access",
                        highest_probability=1.0,
                        due_date=OLD,
                        tags='{"team": "a"}',
                    ),
                    exposure(
                        "job",
                        "MEDIUM",
                        day=LAST,
                        is_carried=True,
                        observed_date=OLD,
                        is_minimum=True,
                        minimum_reason="the account could not be read",
                        unknown_traits=["vulnerability"],
                        **job,
                    ),
                    exposure("quiet", "INFORMATIONAL", day=LAST),
                ],
                "trait_hit": [
                    trait_hit("api", "public_ip", day=LAST),
                    trait_hit("job", "vulnerability", day=LAST, account=GAMMA, state="unknown", evidence=None),
                ],
                "driver": [
                    driver(
                        "api",
                        "CVE-2021-44228",
                        1,
                        "CRITICAL",
                        kind="vulnerability",
                        likelihood="Very High",
                        impact="Medium",
                        inputs='{"in_kev":true}',
                    ),
                    driver("api", "open_security_group", 2, "HIGH"),
                ],
                "path": [
                    {
                        **place,
                        "path_id": "p1",
                        "kind": "DIRECT",
                        "hops": '[{"hop":"internet","id":"IPv4","detail":null},'
                        '{"hop":"route","id":"rtb-1","detail":"0.0.0.0/0"},{"hop":"interface","id":"subnet-7","detail":"task"}]',
                        "needs_traits": ["public_ip"],
                    }
                ],
                "service_image": [
                    {
                        **place,
                        "container_name": "app",
                        "image": "shop/api:1",
                        "image_digest": "sha256:aa",
                        "registry_account": ALPHA,
                        "registry_region": "eu-west-1",
                        "repository_name": "shop/api",
                        "scan_status": "scanned",
                        "is_running": True,
                        "is_carried": False,
                        "observed_date": LAST,
                    },
                    *(
                        {
                            **place,
                            "container_name": container,
                            "image": image,
                            "scan_status": status,
                            "is_running": True,
                            "is_carried": False,
                            "observed_date": LAST,
                        }
                        for container, image, status in (
                            ("log", "docker.io/fluent-bit:3", "not_in_ecr"),
                            ("log2", "docker.io/fluent-bit:3", "not_in_ecr"),  # the same image twice
                            ("old", "shop/old:1", "no_longer_scanned"),
                        )
                    ),
                ],
                "image_vulnerability": [vulnerability],
                "fix": [
                    fix("api", "Take the public address away", before="CRITICAL", after="LOW"),
                    fix("job", "Take the public address away", before="MEDIUM", after="LOW", account=GAMMA),
                    fix(
                        "api",
                        "Change nothing much",
                        before="CRITICAL",
                        after="CRITICAL",
                        rank=2,
                        removed="host_network_mode",
                    ),
                ],
                "change": [
                    change("api", "worsened", before="HIGH", after="CRITICAL", traits_added=["public_ip"]),
                    change("web", "resolved", before="HIGH", opened=OLD, account=BETA),
                    change("quiet", "improved", before="LOW", after="INFORMATIONAL", cause="rules"),
                ],
                "lifecycle": [lifecycle("web", opened=None, first=OLD, last=OLD, account=BETA)],
                "finding": [finding("api"), finding("job", account=GAMMA)],
            },
        )
        made.append(
            "publication",
            OLD,
            "n0",
            RESULTS["publication"].to_arrow(
                [publication("job", at=datetime(2026, 11, 22, 3, tzinfo=UTC), account=GAMMA)]
            ),
        )
        made.append(
            "publication",
            LAST,
            "n1",
            RESULTS["publication"].to_arrow(
                [
                    publication("api", at=NIGHT),
                    publication("web", at=NIGHT, account=BETA, record_state="ARCHIVED", reason="archived"),
                ]
            ),
        )
        yield made


@pytest.fixture
def run(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command on the lake, 100 columns wide."""
    for name in list(os.environ):
        if name.startswith("ECS_EXPOSURE_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("ECS_EXPOSURE_LAKE", lake.location)
    monkeypatch.setenv("COLUMNS", "100")

    def invoke(*arguments: str, **more: Any) -> Result:
        return CliRunner().invoke(app, list(arguments), **more)

    return invoke


def rows(result: Result) -> list[dict[str, Any]]:
    assert result.exit_code == 0, result.output
    loaded = json.loads(result.stdout)
    assert isinstance(loaded, list)
    return loaded


# show


def test_exposures_are_ordered_by_severity_then_score_then_arn(tmp_path: Path, run: Run) -> None:
    told = [("d", "LOW", 20.0), ("c", "HIGH", 70.0), ("b", "HIGH", 70.0), ("a", "HIGH", 60.0), ("e", "CRITICAL", 50.0)]
    hit = [exposure(name, severity, day=LAST, score=score) for name, severity, score in told]
    with new_lake(tmp_path / "other") as other:
        commit(other, LAST, {"exposure": hit})
    found = json.loads(run("show", "--limit", "4", "--lake", other.location, "--format", "json").stdout)
    assert [row["service_name"] for row in found] == ["e", "b", "c", "a"]
    page = json.loads(run("summary", "--lake", other.location, "--format", "json").stdout)
    assert [row["service_name"] for row in page["worst"]] == ["e", "b", "c", "a", "d"]


def test_show_lists_open_exposures_worst_first(run: Run) -> None:
    result = run("show")
    assert result.exit_code == 0
    text = result.stdout
    assert text.index("CRITICAL") < text.index("≥ MEDIUM ↺")
    assert "quiet" not in text and "2 exposures on 2026-11-23" in text
    assert "carried over" in text and "unknown: vulnerability" in text
    assert max(map(len, text.splitlines())) <= 100
    assert f"not completely seen on 2026-11-23, so partly unknown: {GAMMA}" in result.stderr


@pytest.mark.parametrize(
    ("options", "services"),
    [
        ([], ["api", "job"]),
        (["--all"], ["api", "job", "quiet"]),
        (["--severity", "medium"], ["job"]),
        (["--severity", "INFORMATIONAL"], ["quiet"]),
        (["--account", ALPHA], ["api"]),
        (["--account", "sandbox"], ["job"]),
        (["--owner", "team-a", "--all"], ["api", "quiet"]),
        (["--ou", "/workloads"], ["api"]),
        (["--ou", "/work"], []),
        (["--ou", "/sandbox/"], ["job"]),
        (["--trait", "host_network_mode"], ["job"]),
        (["--trait", "host_network_mode", "--trait", "public_ip", "--limit", "1"], ["api"]),
        (["--date", "2026-11-22"], ["api", "web", "job"]),
        (["--owner", "' or true --"], []),
    ],
)
def test_show_filters(run: Run, options: list[str], services: list[str]) -> None:
    assert [row["service_name"] for row in rows(run("show", "--format", "json", *options))] == services


def test_traits_beyond_awss_are_shown_last_and_counted_when_many(tmp_path: Path, run: Run) -> None:
    (tmp_path / "other").mkdir()
    few = ["container_runs_as_root", "public_ip"]
    many = ["container_runs_as_root", "execute_command_enabled", "public_ip", "writable_root_filesystem"]
    rows = [
        exposure("few", day=LAST, traits=few, own_traits=few[:1]),
        exposure("many", day=LAST, traits=many, own_traits=[many[0], many[1], many[3]]),
    ]
    with new_lake(tmp_path / "other") as made:
        commit(made, LAST, {"exposure": rows})
        told = " ".join(run("show", "--lake", made.location, env={"COLUMNS": "200"}).stdout.split())
    assert "public_ip, container_runs_as_root" in told
    assert "public_ip, 3 own traits" in told
    assert "execute_command_enabled" not in told


def test_show_prints_every_public_column(run: Run) -> None:
    [first, *_] = rows(run("show", "--format", "json"))
    assert tuple(first) == RESULTS["exposure"].column_names
    [header, *_] = csv.reader(io.StringIO(run("show", "--format", "csv").stdout))
    assert tuple(header) == RESULTS["exposure"].column_names


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["--fail-on", "CRITICAL"], 4),
        (["--fail-on", "low"], 4),
        (["--fail-on", "HIGH", "--account", GAMMA], 0),
        (["--fail-on", "MEDIUM", "--account", GAMMA], 4),
        (["--fail-on", "CRITICAL", "--limit", "1", "--severity", "MEDIUM"], 0),
        (["--fail-on", "INFORMATIONAL", "--severity", "INFORMATIONAL"], 0),
    ],
)
def test_fail_on_looks_at_open_exposures_that_match(run: Run, options: list[str], code: int) -> None:
    assert run("show", *options).exit_code == code


# explain


def test_explain_tells_the_whole_way_to_the_severity(run: Run) -> None:
    text = run("explain", "api").stdout
    for told in (
        "CVE-2021-44228",
        "BOD 26-04, 3 days",
        "in_kev yes",
        "broad data access",
        "likelihood Very High × impact Medium",
        "public_ip",
        "group sg-1, ports 443",
        "route rtb-1 (0.0.0.0/0)",
        "interface subnet-7 (task)",
        "gone without public_ip",
        "Take the public address away",
        "known exploited",
        "fixed in 2.17.1",
        "HIGH → CRITICAL",
        "+public_ip",
        "due 2026-11-22",
        "shop/api:1",
    ):
        assert told in text, told
    assert max(map(len, text.splitlines())) <= 100


def test_explain_says_what_is_carried_and_unknown(run: Run) -> None:
    text = " ".join(run("explain", "job").stdout.split())
    assert "Carried over 2026-11-22" in text
    assert "vulnerability: unknown" in text
    assert "the account could not be read" in text
    assert "service denied last seen 2026-11-22 may not assume the read role" in text


def test_explain_as_json_holds_the_steps_and_parsed_evidence(run: Run) -> None:
    told = json.loads(run("explain", arn("api"), "--format", "json").stdout)
    assert [step["step"] for step in told["steps"]] == [
        "Exposed",
        "Driver",
        "Likelihood",
        "Impact",
        "Severity",
        "Score",
        "Due",
    ]
    assert told["traits"][0]["evidence"] == [{"group": "sg-1", "ports": "443"}]
    assert told["exposure"]["tags"] == {"team": "a"}
    assert told["changes"][0]["change"] == "worsened"


def test_explain_takes_old_short_arns_names_and_parts(run: Run) -> None:
    for text in (f"arn:aws:ecs:eu-west-1:{ALPHA}:service/api", "api", arn("api"), "MAIN/API"):
        assert json.loads(run("explain", text, "--format", "json").stdout)["exposure"]["resource_id"] == arn("api")


def test_explain_names_the_candidates_of_an_ambiguous_part(run: Run) -> None:
    result = run("explain", "service/main")
    assert result.exit_code == 2
    assert arn("api") in result.stderr and arn("quiet") in result.stderr


def test_explain_of_a_fixed_service_says_until_when_it_had_an_exposure(run: Run) -> None:
    result = run("explain", "web")
    assert result.exit_code == 3
    assert f"{arn('web', BETA)} had one until 2026-11-22" in result.stderr


# summary


def test_summary_is_one_page_a_newcomer_understands(run: Run, lake: Lake) -> None:
    result = run("summary")
    assert result.exit_code == 0, result.output
    text = " ".join(result.stdout.split())
    for told in (
        "2026-11-23",
        "CRITICAL 1 +1",
        "HIGH 0 -2",
        "MEDIUM 1 ±0",
        "1 carried over, not seen today",
        "Take the public address away 2",
        "1 × CRITICAL → LOW, 1 × MEDIUM → LOW",
        "1 worsened, 1 resolved",
        "By our rules alone, the estate being the same: 1 improved",
        "1 sent · 1 archived because fixed · 1 unchanged, not sent again",
        "UNKNOWN, last seen 2026-11-22",
        "may not assume the read role",
        "not enabled: image_coverage",
        "2 of 3 images not scanned, their vulnerabilities unknown: 1 no longer scanned, 1 outside Amazon ECR",
        f"Lake {lake.location} Data Docs {lake.location}/data_docs/snapshot_date=2026-11-23/night.html",
    ):
        assert told in text, told
    assert "Change nothing much" not in text
    assert max(len(line) for line in result.stdout.splitlines() if lake.location not in line) <= 100


def test_a_fix_of_many_kinds_of_services_is_told_by_the_severities_it_lowers(tmp_path: Path, run: Run) -> None:
    moves = [("HIGH", "LOW"), ("CRITICAL", "LOW"), ("CRITICAL", "HIGH"), ("HIGH", "MEDIUM"), ("MEDIUM", "LOW")] * 1_001
    hit = [exposure(f"s{number}", before, day=LAST) for number, (before, _) in enumerate(moves)]
    fixes = [
        fix(f"s{number}", "Fix it", before=before, after=after) for number, (before, after) in enumerate(moves)
    ]  # fmt: skip
    with new_lake(tmp_path / "other") as other:
        commit(other, LAST, {"exposure": hit, "fix": fixes})
    text = run("summary", "--lake", other.location).stdout
    assert "2,002 × CRITICAL, 2,002 × HIGH, 1,001 × MEDIUM" in " ".join(text.split())
    (told,) = json.loads(run("summary", "--lake", other.location, "--format", "json").stdout)["fixes"]
    assert told["services"] == 5_005
    assert [(*move.values(),) for move in told["moves"]] == [
        ("CRITICAL", "HIGH", 1_001), ("CRITICAL", "LOW", 1_001), ("HIGH", "MEDIUM", 1_001), ("HIGH", "LOW", 1_001),
        ("MEDIUM", "LOW", 1_001),
    ]  # fmt: skip


def test_summary_of_the_first_day_compares_with_nothing(run: Run) -> None:
    told = json.loads(run("summary", "--date", "2026-11-22", "--format", "json").stdout)
    assert told["previous_day"] is None
    assert {row["services_before"] for row in told["severities"]} == {None}
    assert "nothing to compare it with" in run("summary", "--date", "2026-11-22").stdout


def test_a_finding_never_sent_is_not_called_unchanged(tmp_path: Path, run: Run) -> None:
    with new_lake(tmp_path / "other") as other:
        commit(other, LAST, {"exposure": [exposure("api", day=LAST)], "finding": [finding("api")]})
    told = json.loads(run("summary", "--lake", other.location, "--format", "json").stdout)
    assert told["publication"] == {"not_sent": 1}


def test_what_no_one_could_see_is_not_a_zero(tmp_path: Path, run: Run) -> None:
    with new_lake(tmp_path / "other") as other:
        commit(other, LAST, {"coverage": [coverage(GAMMA, "denied", day=LAST, message="no")]})
    assert json.loads(run("summary", "--lake", other.location, "--format", "json").stdout)["services_seen"] is None
    text = run("summary", "--lake", other.location).stdout
    assert (
        "services: not known" in text
        and "No exposure was found where the scan could see." in text
        and "never seen" in text
    )


# trends


def test_trends_are_listed_with_their_questions(run: Run) -> None:
    listed = rows(run("trends", "--list", "--format", "json"))
    assert {"name": "overdue", "question": "Which exposures are past the day by which they should be gone?"} in listed
    assert listed == rows(run("trends", "--format", "json"))


def test_trends_answer_by_owner_over_a_period(run: Run) -> None:
    told = rows(run("trends", "exposures_per_day", "--by", "owner", "--since", "0d", "--format", "json"))
    assert [(row["group"], row["critical"], row["carried"]) for row in told] == [("(no owner)", 0, 1), ("team-a", 1, 0)]
    assert {row["snapshot_date"] for row in told} == {"2026-11-23"}
    assert {
        row["snapshot_date"]
        for row in rows(run("trends", "exposures_per_day", "--until", "2026-11-22", "--format", "json"))
    } == {"2026-11-22"}
    assert "Are exposures being fixed faster" in run("trends", "opened_and_resolved_per_day").stdout


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["nonsense"], 2, "exposures_per_day"),
        (["overdue", "--since", "yesterday"], 2, "'yesterday' is not a date"),
        (["overdue", "--since", "2026-11-23", "--until", "2026-11-22"], 2, "ends before it begins"),
        (["overdue", "--until", "2025-01-01"], 3, "no day was assessed"),
        (["overdue", "--by", "shoe-size"], 2, "shoe-size"),
    ],
)
def test_trends_say_what_is_wrong(run: Run, arguments: list[str], code: int, told: str) -> None:
    result = run("trends", *arguments)
    assert result.exit_code == code
    assert told in result.stderr


# sql


def test_sql_reads_all_days_and_the_latest(run: Run) -> None:
    assert rows(run("sql", "select count(*) as n from exposure", "--format", "json")) == [{"n": 6}]
    assert rows(run("sql", "select count(*) as n from latest.exposure", "--format", "json")) == [{"n": 3}]
    assert rows(run("sql", "select count(*) as n from exposure", "--until", "2026-11-22", "--format", "json")) == [
        {"n": 3}
    ]
    joined = "select resource_id, package_name from latest.service_vulnerability"
    assert rows(run("sql", joined, "--format", "json")) == [{"resource_id": arn("api"), "package_name": "log4j-core"}]


def test_sql_shows_every_public_table(run: Run) -> None:
    shown = {row["name"] for row in rows(run("sql", "show tables", "--format", "json"))}
    assert shown == {*RESULTS, "service_vulnerability"}
    assert {row["column_name"] for row in rows(run("sql", "describe exposure", "--format", "json"))} == set(
        RESULTS["exposure"].column_names
    )


def test_sql_comes_from_a_file_or_standard_input(run: Run, tmp_path: Path) -> None:
    (tmp_path / "question.sql").write_text("select 1 as one;\n")
    assert rows(run("sql", "-f", str(tmp_path / "question.sql"), "--format", "json")) == [{"one": 1}]
    assert rows(run("sql", "--format", "json", input="select 2 as two")) == [{"two": 2}]


def test_sql_opens_only_the_files_of_tables_it_names(run: Run, lake: Lake) -> None:
    for file in (Path(lake.location) / "results").rglob("*.parquet"):
        if file.parts[-3] != "exposure" or "2026-11-22" in str(file):
            file.write_bytes(b"not Parquet at all")
    assert rows(run("sql", "select count(*) as n from latest.exposure", "--format", "json")) == [{"n": 3}]
    assert run("sql", "select count(*) as n from exposure").exit_code == 1, (
        "the older day's file is damaged and is said to be"
    )


REFUSED = [
    "create table x as select 1",
    "drop view exposure",
    "delete from exposure",
    "copy exposure to '{folder}/out.csv'",
    "copy (select 1) to '{lake}/results/exposure/x.parquet'",
    "explain analyze copy exposure to '{folder}/out.csv'",
    "attach '{folder}/x.db'",
    "install httpfs",
    "load httpfs",
    "set enable_external_access = true",
    "pragma database_list",
    "call duckdb_tables()",
    "export database '{folder}/out'",
    "select 1; select 2",
    "",
    "selec 1",
    "select * from nowhere",
    "from read_text('/etc/passwd')",
    "from read_csv('/etc/passwd')",
    "from '/etc/passwd'",
    "from glob('/etc/*')",
    "from read_text('{lake}/.fingerprint-key')",
    "from read_text('{lake}/results/../.fingerprint-key')",
    "from read_parquet('{lake}/snapshots/*/*/*.parquet')",
    "from query('from read_text(''/etc/passwd'')')",
    "select getenv('HOME')",
    "from 'https://example.com/x.parquet'",
    "with x as (delete from exposure returning *) from x",
]


@pytest.mark.parametrize("statement", REFUSED)
def test_sql_neither_writes_nor_reads_beyond_the_tables(run: Run, lake: Lake, tmp_path: Path, statement: str) -> None:
    lake.fingerprint_key()
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    result = run("sql", statement.format(folder=tmp_path, lake=lake.location))
    assert result.exit_code == 2, result.output
    assert result.stderr.startswith("error: ") and "root:" not in result.output and "Traceback" not in result.output
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


# Names from outside


@pytest.fixture
def hostile(tmp_path: Path) -> str:
    """A lake in which everything a stranger may write is hostile."""
    with new_lake(tmp_path / "hostile") as made:
        evil = {
            "service_name": EVIL,
            "cluster_name": EVIL,
            "account_name": EVIL,
            "ou_path": EVIL,
            "title": EVIL,
            "traits": [EVIL],
        }
        commit(made, OLD, {"exposure": [exposure("calm", "LOW", day=OLD)]})
        commit(
            made,
            LAST,
            {
                "exposure": [
                    exposure("api", day=LAST, owner=EVIL, driver=EVIL, driver_rule=EVIL, impact_reason=EVIL, **evil)
                ],
                "coverage": [coverage(day=LAST), coverage(BETA, "denied", day=LAST, message=EVIL)],
                "trait_hit": [trait_hit("api", EVIL, day=LAST, evidence=json.dumps([{EVIL: EVIL}]))],
                "fix": [fix("api", EVIL)],
                "driver": [driver("api", EVIL, 1, rule=EVIL, inputs=json.dumps({EVIL: EVIL}))],
                "change": [
                    change(
                        "api",
                        "opened",
                        after="HIGH",
                        owner=EVIL,
                        service_name=EVIL,
                        cluster_name=EVIL,
                        account_name=EVIL,
                        traits_added=[EVIL],
                    )
                ],
                "finding": [finding("api")],
            },
        )
        failed = publication("api", "failed", at=NIGHT, error_code=EVIL, error_message=EVIL)
        made.append("publication", LAST, "n1", RESULTS["publication"].to_arrow([failed]))
    return made.location


PAGES = (
    ["show"],
    ["summary"],
    ["explain", "api"],
    ["trends", "longest_open"],
    ["trends", "exposures_per_day", "--by", "owner"],
    ["sql", "from exposure"],
)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page[0])
def test_hostile_names_are_shown_as_text_in_tables(run: Run, hostile: str, page: list[str]) -> None:
    for color in (False, True):
        result = run(*page, "--lake", hostile, color=color)
        assert result.exit_code == 0, result.output
        assert "\x1b[2J" not in result.output and "\u202e" not in result.output
    assert "[red]" in "".join(result.stdout.split()) or page[0] == "trends"  # there it is folded over several lines


@pytest.mark.parametrize(
    "page", [["show"], ["trends", "longest_open"], ["sql", "from exposure"]], ids=lambda page: page[0]
)
def test_hostile_names_calculate_nothing_in_csv_and_survive_in_json(run: Run, hostile: str, page: list[str]) -> None:
    table = run(*page, "--lake", hostile, "--format", "csv")
    for row in csv.reader(io.StringIO(table.stdout)):
        assert [
            text for text in row if text.startswith(("=", "+", "-", "@")) or "\x1b" in text or "\u202e" in text
        ] == []
    told = run(*page, "--lake", hostile, "--format", "json")
    assert "\x1b" not in told.stdout
    assert EVIL in {row["owner"] for row in rows(told)}


def test_hostile_input_is_not_echoed_raw(run: Run) -> None:
    for arguments in (["explain", EVIL], ["trends", EVIL], ["show", "--date", EVIL], ["sql", f"select {EVIL}"]):
        result = run(*arguments)
        assert result.exit_code in (2, 3)
        assert "\x1b" not in result.stderr and "\u202e" not in result.stderr


# When things are wrong


READERS = (["show"], ["summary"], ["explain", "api"], ["trends", "overdue"], ["sql", "from exposure"])


@pytest.mark.parametrize("command", READERS, ids=lambda command: command[0])
def test_a_lake_without_an_assessed_day_is_said_to_be_empty(run: Run, tmp_path: Path, command: list[str]) -> None:
    (tmp_path / "empty").mkdir()
    result = run(*command, "--lake", str(tmp_path / "empty"))
    assert result.exit_code == 3
    assert "run `ecs-exposure scan` first" in result.stderr


@pytest.mark.parametrize("command", READERS, ids=lambda command: command[0])
def test_no_lake_is_one_clear_line(run: Run, tmp_path: Path, command: list[str]) -> None:
    result = run(*command, "--lake", str(tmp_path / "missing"))
    assert result.exit_code == 1
    assert result.stderr.startswith("error: no lake at") and result.stderr.count("\n") == 1


def test_a_day_that_was_not_assessed_names_its_neighbours(run: Run) -> None:
    result = run("show", "--date", "2026-11-24")
    assert result.exit_code == 3
    assert "2026-11-23" in result.stderr


def test_wrong_settings_are_all_said_at_once(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ECS_EXPOSURE_REGIONS", "atlantis")
    monkeypatch.setenv("ECS_EXPOSURE_THREADS", "0")
    for command in (["show"], ["scan"], ["assess"], ["publish"], ["settings"]):
        result = run(*command)
        assert result.exit_code == 2
        assert "ECS_EXPOSURE_REGIONS" in result.stderr and "ECS_EXPOSURE_THREADS" in result.stderr


def test_a_damaged_file_is_named(run: Run, lake: Lake) -> None:
    [file] = (Path(lake.location) / "results" / "exposure" / "snapshot_date=2026-11-23").glob("*.parquet")
    file.write_bytes(file.read_bytes()[:50])
    result = run("show")
    assert result.exit_code == 1
    assert file.name in result.stderr and "Traceback" not in result.stderr


def test_a_lake_that_cannot_be_reached_is_one_clear_line(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("ECS_EXPOSURE_FINGERPRINT_KEY", "k" * 32)
    result = run("show", "--lake", "s3://no-such-bucket/lake")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: ") and "Traceback" not in result.output


def test_commands_that_change_a_lake_say_when_there_is_nothing_to_do(run: Run) -> None:
    assert run("assess").exit_code == 3
    assert run("reassess", "--since", "2027-01-01").exit_code == 3
    assert run("reassess", "--since", "2026-11-22").exit_code == 1, "no snapshot is stored of these days"
    assert rows(run("retain", "--format", "json")) == []
    assert run("publish", "--mode", "sometimes").exit_code == 2
    told = {row["outcome"]: row["findings"] for row in rows(run("publish", "--mode", "off", "--format", "json"))}
    assert told == {"archived": 1, "sent": 1, "unchanged": 1}


def test_feeds_are_checked_with_and_without_a_lake(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "kev.json"
    file.write_text('{"vulnerabilities": [{"cveID": "CVE-2021-44228", "dateAdded": "2021-12-10"}]}')
    monkeypatch.setenv("ECS_EXPOSURE_KEV_FILE", str(file))
    epss, kev, _ = rows(run("feeds", "--format", "json"))
    assert (epss["state"], epss["file"], epss["vulnerabilities"]) == ("not set", None, 1)
    assert "ECS_EXPOSURE_EPSS_FILE" in epss["what_to_do"]
    assert (kev["state"], kev["feed_date"], kev["covered"]) == ("stale", "2021-12-10", 1)
    file.write_text("x")
    result = run("feeds", "--lake", str(tmp_path / "nowhere"))
    assert result.exit_code == 0 and "unreadable" in result.stdout
    assert "no day to compare with" in result.stderr


def test_a_lake_in_use_is_left_alone(run: Run, lake: Lake) -> None:
    with lake.lock():
        result = run("reassess", "--since", "2026-11-22")
    assert result.exit_code == 1
    assert "another scan holds the lake" in result.stderr


# The process itself


def spawn(*arguments: str, lake: str = "./lake") -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT / "plugins"), "ECS_EXPOSURE_LAKE": lake}
    command = [sys.executable, "-m", "ecs_exposure.cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)


def test_help_loads_no_slow_library_and_documents_the_exit_codes() -> None:
    code = (
        "import sys\nfrom ecs_exposure.cli import main\nsys.argv = ['ecs-exposure', '--help']\n"
        "try: main()\nexcept SystemExit as end: assert not end.code\n"
        "slow = {'duckdb', 'pyarrow', 'boto3', 'botocore', 'pandas', 'great_expectations', 'airflow'}\n"
        "print('LOADED', sorted(slow & sys.modules.keys()))"
    )
    told = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env={"PYTHONPATH": str(ROOT / "plugins")}
    )
    assert told.returncode == 0, told.stderr
    assert told.stdout.endswith("LOADED []\n")
    for words in ("Exit codes", "0 it worked", "3 there is no data", "--fail-on"):
        assert words in told.stdout
    for command in (
        "scan",
        "assess",
        "reassess",
        "publish",
        "retain",
        "feeds",
        "summary",
        "show",
        "explain",
        "trends",
        "sql",
        "settings",
    ):
        assert command in told.stdout


def test_as_a_process_it_prints_to_pipes_without_escape_sequences(lake: Lake) -> None:
    result = spawn("summary", lake=lake.location)
    assert result.returncode == 0, result.stderr
    assert "\x1b" not in result.stdout + result.stderr
    assert max(len(line) for line in result.stdout.splitlines() if lake.location not in line) <= 100
    assert spawn("show", "--fail-on", "HIGH", lake=lake.location).returncode == 4
    assert spawn("nonsense").returncode == 2
