"""fix-first and what-if on a lake that was assessed from a night's snapshot."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ecs_exposure.assessing import assess
from ecs_exposure.cli import app
from ecs_exposure.lake import Lake
from ecs_exposure.settings import load
from typer.testing import CliRunner, Result

from tests.exposures.night import DAY, Night, cve, digest_of
from tests.results_lake import commit, exposure, new_lake

BANK = "444455556666"


@pytest.fixture(scope="module")
def location(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Three services that share an image, one of another account, and one with a role that administers."""
    place = str(tmp_path_factory.mktemp("fixes") / "lake")
    night = Night()
    night.account(BANK, "bank", "/Bank")
    for number in range(3):
        night.service(f"s{number}", public=True, cves=(cve(epss=0.5),), repository="base", owner="team-a")
    night.service("vault", public=True, cves=(cve(epss=0.5),), account_id=BANK, owner="team-b")
    night.service("admin", public=True, role="admin", owner="team-c")
    with Lake.open(place, create=True) as lake:
        night.write(lake)
        assess(load(lake=place), lake, DAY)
    return place


def run(location: str, *arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments, "--lake", location], env={"COLUMNS": "100"})


@pytest.mark.parametrize("command", ["fix-first", "what-if"])
def test_help_names_the_options(command: str) -> None:
    result = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "100"})
    assert result.exit_code == 0
    assert ("--owner" if command == "fix-first" else "--without") in result.stdout


def test_fix_first_tells_what_helps_most_and_what_it_comes_to(location: str) -> None:
    result = run(location, "fix-first", "-n", "1")
    text = " ".join(result.stdout.split())
    assert result.exit_code == 0, result.output
    assert "repository base" in text and "team-a · shop" in text
    assert "Best upgrade: openssl to 1.1" in text
    assert "This change takes 0 of 0 CRITICAL and 3 of 5 HIGH exposures away, of 5 open" in text
    assert max(map(len, result.stdout.splitlines())) <= 100


@pytest.mark.parametrize(
    ("options", "services"),
    [
        (["--owner", "team-b"], {"vault"}),
        (["--ou", "/Bank"], {"vault"}),
        (["--account", "shop"], {"s0", "s1", "s2", "admin"}),
        (["--owner", "nobody"], set()),
    ],
)
def test_fix_first_filters(location: str, options: list[str], services: set[str]) -> None:
    rows = json.loads(run(location, "fix-first", "--format", "json", *options).stdout)
    assert {name.rpartition("/")[2] for row in rows for name in row["resource_ids"]} == services


def test_fix_first_of_a_day_without_plans_says_what_to_do(tmp_path: Path) -> None:
    with new_lake(tmp_path) as lake:
        commit(lake, DAY, {"exposure": [exposure("api", day=DAY)]})
        result = run(lake.location, "fix-first")
    assert result.exit_code == 3 and f"ecs-exposure assess --date {DAY}" in result.stderr


def test_what_if_takes_along_what_the_role_allows_and_writes_nothing(location: str) -> None:
    before = sorted(str(path) for path in Path(location).rglob("*"))
    told = json.loads(
        run(location, "what-if", "--service", "admin", "--without", "iam_role_assumable", "--format", "json").stdout
    )
    [row] = told["services"]
    assert (row["severity"], row["severity_without"]) == ("HIGH", "LOW")
    assert "administrative_access_policy" in row["removed_traits"]
    assert sorted(str(path) for path in Path(location).rglob("*")) == before


def test_what_if_an_image_were_clean_for_all_that_run_it(location: str) -> None:
    told = json.loads(run(location, "what-if", "--image", f"{digest_of('base')}=clean", "--format", "json").stdout)
    assert {row["service_name"]: row["severity_without"] for row in told["services"]} == dict.fromkeys(
        ("s0", "s1", "s2"), "LOW"
    )
    short = digest_of("base").removeprefix("sha256:")[:20]
    text = run(location, "what-if", "--service", "s1", "--image", f"{short}=clean").stdout
    assert "s1" in text and "s0" not in text and "HIGH" in text and "LOW" in text


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ([], "--without TRAIT or --image"),
        (["--without", "public_ip"], "--service"),
        (["--service", "s0", "--without", "nonsense"], "it has: "),
        (["--service", "vault", "--without", "administrative_access_policy"], "public_ip"),
        (["--service", "s0", "--image", "ffff=clean"], digest_of("base")),
        (["--service", "s0", "--image", "ffff"], "DIGEST=clean"),
        (["--image", "sha256:=clean"], "digests begin with"),
    ],
)
def test_what_if_refuses_what_is_not_there(location: str, options: list[str], told: str) -> None:
    result = run(location, "what-if", *options)
    assert result.exit_code == 2 and told in result.stderr


def test_what_if_needs_the_snapshot(tmp_path: Path) -> None:
    with new_lake(tmp_path) as lake:
        commit(lake, DAY, {"exposure": [exposure("api", day=DAY)]})
        result = run(lake.location, "what-if", "--service", "api", "--without", "public_ip")
    assert result.exit_code == 3 and "ecs-exposure scan" in result.stderr
