"""After two runs of `make scan`: what a user would look at is there and says what the sample is made to say."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
LAKE = ROOT / ".state" / "lake"


def ask(*arguments: str) -> Any:
    command = [sys.executable, "-m", "ecs_exposure.cli", *arguments, "--lake", str(LAKE), "--format", "json"]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout)


def test_both_nights_were_assessed_and_all_severities_occur() -> None:
    assert sorted(path.stem for path in (LAKE / "results" / "days").glob("*.json")) == ["2026-11-02", "2026-11-03"]
    assert {row["severity"] for row in ask("show", "--all")} == {"CRITICAL", "HIGH", "MEDIUM", "LOW", "INFORMATIONAL"}


def test_the_second_night_opened_resolved_and_worsened_something_in_the_estate() -> None:
    changes = ask("sql", "select change, cause from latest.change")
    assert {"opened", "resolved", "worsened"} <= {row["change"] for row in changes}
    assert {row["cause"] for row in changes} == {"estate"}


def test_what_was_resolved_was_archived_and_nothing_of_the_dark_account_was() -> None:
    resolved = {
        row["resource_id"] for row in ask("sql", "select resource_id from latest.change where change = 'resolved'")
    }
    archived = ask(
        "sql", "select resource_id from latest.publication where record_state = 'ARCHIVED' and status = 'sent'"
    )
    assert {row["resource_id"] for row in archived} == resolved
    carried = ask(
        "sql", "select distinct account_name from latest.exposure where is_carried and observed_date < snapshot_date"
    )
    assert "logistics" in {row["account_name"] for row in carried}


def test_the_account_that_refuses_access_is_unknown_in_coverage() -> None:
    statuses = ask("sql", "select distinct status from latest.coverage where account_id = '666666666666'")
    assert [row["status"] for row in statuses] == ["denied"]


def test_the_printed_report_names_the_worst_the_fixes_and_the_unknown() -> None:
    printed = (ROOT / ".state-scan-2.txt").read_text(encoding="utf-8")
    for words in (
        "Exposures by severity",
        "Fixes that lower severity most",
        "Changes",
        "Security Hub",
        "Coverage",
        "UNKNOWN",
        "Data Docs",
    ):
        assert words in printed


def test_no_process_is_left_behind() -> None:
    processes = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    left = [
        line
        for line in processes.splitlines()
        if "embedded_aws" in line or "airflow dags test" in line or "run_nightly" in line
    ]
    assert left == []
