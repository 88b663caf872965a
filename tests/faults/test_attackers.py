"""What whoever owns a workload writes into it: markup, control characters, formulas, ten thousand bytes, another
owner's tag, a secret moved out of the environment. A real scan reads it; then all it left and every page is looked at.
"""

from __future__ import annotations

import csv
import io
import json
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ecs_exposure.cli import app
from ecs_exposure.lake import Lake
from ecs_exposure.scan import scan
from ecs_exposure.securityhub.asff import wire_bytes
from ecs_exposure.settings import load
from embedded_aws import EmbeddedAws
from typer.testing import CliRunner

from tests.faults.conftest import ALPHA, BETA, DAY, REGION, coverage, results, served

FORMULA = '=HYPERLINK("http://evil.test","x")'
MARKUP = "<script>alert(1)</script>"
TERMINAL = "\x1b[2J\x1b]0;owned\x07[bold red]\u202e"
LONG = "A" * 10_000
SECRET = "Zx91-moved"
NAMES = {
    "formula": FORMULA,
    "markup": MARKUP,
    "terminal": TERMINAL,
    "long": LONG,
    "all-at-once": f"{FORMULA}{MARKUP}{TERMINAL}{LONG}",
}


def definition(family: str, text: str = "/srv", **container: Any) -> dict[str, Any]:
    """A definition on an instance of ours that mounts a host path named by the text."""
    main = {
        "name": "main", "image": f"registry.test/{text}", "memory": 64, "user": text, "dockerLabels": {text: text},
        "environment": [{"name": text, "value": "plain"}],
        "mountPoints": [{"sourceVolume": "data", "containerPath": text}],
    }  # fmt: skip
    return {
        "family": family,
        "containerDefinitions": [main | container],
        "volumes": [{"name": "data", "host": {"sourcePath": text}}],
    }


HIDDEN = {
    "in-the-command": {"command": ["serve", f"--db-password={SECRET}"]},
    "in-a-label": {"dockerLabels": {"db.password": SECRET}},
    "in-an-option": {"logConfiguration": {"logDriver": "fluentd", "options": {"labels": f"db_password={SECRET}"}}},
    "in-the-name": {"environment": [{"name": f"DB_PASSWORD={SECRET}", "value": "x"}]},
    "behind-padding": {"environment": [{"name": "NOTES", "value": " lorem ipsum" * 2_000 + f" password={SECRET}"}]},
}


def run_service(aws: EmbeddedAws, account: str, name: str, made: dict[str, Any], **more: Any) -> None:
    ecs = aws.client("ecs", account, REGION)
    ecs.register_task_definition(**made)
    ecs.create_service(cluster="main", serviceName=name, taskDefinition=name, desiredCount=1, launchType="EC2", **more)


@pytest.fixture(scope="module")
def attacked(organization: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Lake, EmbeddedAws]]:
    """One night over the organisation: alpha's owner means harm, beta's does not."""
    with (
        served(organization) as aws,
        Lake.open(str(tmp_path_factory.mktemp("attacked") / "lake"), create=True) as lake,
    ):
        for name, text in NAMES.items():
            run_service(aws, ALPHA, name, definition(name, f"/{text}"))
        for name, hidden in HIDDEN.items():
            run_service(aws, ALPHA, name, definition(name, "/srv", **hidden))
        run_service(aws, ALPHA, "twin", definition("twin"))
        tags = {"owner": "team-of-someone-else", "severity": "INFORMATIONAL", "exposure": "ignore", "status": FORMULA}
        run_service(aws, ALPHA, "tagged", definition("tagged"), tags=[{"key": key, "value": tags[key]} for key in tags])
        scan(load(lake=lake.location, rate_share=1.0), lake, DAY)
        yield lake, aws


def exposures(lake: Lake) -> dict[str, dict[str, Any]]:
    rows = results(lake, DAY, f"select * from night.exposure where account_id = '{ALPHA}'")
    return {row["service_name"]: row for row in rows}


def test_all_of_it_was_read_and_nobody_else_noticed(attacked: tuple[Lake, EmbeddedAws]) -> None:
    lake, _ = attacked
    for account in (ALPHA, BETA):
        for dataset in ("service", "task_definition", "container", "volume", "credential"):
            assert coverage(lake, DAY, account, dataset)["status"] == "ok", (account, dataset)
    assert set(exposures(lake)) >= {*NAMES, *HIDDEN, "twin", "tagged"}


@pytest.mark.parametrize("name", NAMES)
def test_a_name_lowers_nothing(attacked: tuple[Lake, EmbeddedAws], name: str) -> None:
    lake, _ = attacked
    found = exposures(lake)
    assert "root_filesystem_access" in found[name]["traits"]
    assert found[name]["severity"] == found["twin"]["severity"]


def test_a_tag_routes_and_decides_nothing(attacked: tuple[Lake, EmbeddedAws]) -> None:
    lake, _ = attacked
    twin, tagged = exposures(lake)["twin"], exposures(lake)["tagged"]
    assert (twin["owner"], tagged["owner"]) == (None, "team-of-someone-else")
    decided = ("severity", "score", "likelihood", "impact", "driver", "traits", "reachability", "is_exposed")
    assert {name: tagged[name] for name in decided} == {name: twin[name] for name in decided}


@pytest.mark.parametrize("name", HIDDEN)
def test_a_secret_that_was_moved_is_found_where_it_went(attacked: tuple[Lake, EmbeddedAws], name: str) -> None:
    lake, _ = attacked
    found, twin = exposures(lake)[name], exposures(lake)["twin"]
    assert "cleartext_credentials" in found["traits"] and "cleartext_credentials" not in twin["traits"]
    select = (
        f"select evidence from night.trait_hit where trait = 'cleartext_credentials' and resource_id like '%/{name}'"
    )
    (row,) = results(lake, DAY, select)
    (evidence,) = json.loads(row["evidence"])
    wanted = {"in-the-command": "command", "in-a-label": "docker_label", "in-an-option": "log_option"}
    assert evidence["source"] == wanted.get(name, "environment")
    assert evidence["sharing_service_count"] == len(HIDDEN), "one secret, however it is hidden"


def test_the_secret_is_nowhere(attacked: tuple[Lake, EmbeddedAws]) -> None:
    lake, _ = attacked
    files = [path for path in Path(lake.location).rglob("*") if path.is_file()]
    assert files
    assert [path for path in files if SECRET.encode() in path.read_bytes()] == []


def is_harmless(text: str) -> bool:
    return all(character in "\n\r" or unicodedata.category(character) not in ("Cc", "Cf", "Cs") for character in text)


def test_findings_are_accepted_bounded_and_without_control_characters(attacked: tuple[Lake, EmbeddedAws]) -> None:
    lake, aws = attacked
    published = {row["service_name"] for row in exposures(lake).values() if row["severity"] != "INFORMATIONAL"}
    held = {
        finding["Resources"][0]["Id"].rpartition("/")[2]: finding
        for finding in aws.securityhub.findings()
        if finding["AwsAccountId"] == ALPHA
    }
    assert published == set(held) and {*HIDDEN} <= published
    for finding in held.values():
        assert wire_bytes(finding) <= 240 * 1024
        assert is_harmless(json.dumps(finding, ensure_ascii=False))


PAGES = [["show", "--all"], ["summary"], *(["explain", f"main/{name}"] for name in NAMES)]


@pytest.mark.parametrize("page", PAGES, ids=" ".join)
def test_pages_show_it_as_text_of_bounded_length(
    attacked: tuple[Lake, EmbeddedAws], page: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lake, _ = attacked
    monkeypatch.setenv("COLUMNS", "120")
    result = CliRunner().invoke(app, [*page, "--lake", lake.location])
    assert result.exit_code == 0, result.output
    assert is_harmless(result.output)
    assert len(result.output) < 100_000
    if page[0] == "explain":
        assert "root_filesystem_access" in result.output


def test_a_spreadsheet_calculates_nothing(attacked: tuple[Lake, EmbeddedAws]) -> None:
    lake, _ = attacked
    select = "select resource_id, tags, evidence from trait_hit join exposure using (resource_id)"
    for arguments in (["show", "--all"], ["sql", select]):
        done = CliRunner().invoke(app, [*arguments, "--lake", lake.location, "--format", "csv"])
        assert done.exit_code == 0, done.output
        cells = [cell for row in csv.reader(io.StringIO(done.stdout)) for cell in row]
        assert len(cells) > 20
        assert [cell for cell in cells if cell.strip().startswith(("=", "+", "-", "@")) or not is_harmless(cell)] == []


def test_no_page_of_the_gate_runs_a_script(attacked: tuple[Lake, EmbeddedAws]) -> None:
    lake, _ = attacked
    pages = list(Path(lake.location).rglob("*.html"))
    assert pages
    assert [page for page in pages if MARKUP in page.read_text(encoding="utf-8")] == []
