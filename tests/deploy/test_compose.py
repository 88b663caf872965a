"""docker-compose.yml as Compose's own parser reads it, with the .env that deploy/make_env.py writes."""

from __future__ import annotations

import ast
import base64
import json
import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from ecs_exposure.settings import PREFIX, Settings
from ecs_exposure_airflow import standalone
from embedded_aws.organization import sample_settings

ROOT = Path(__file__).parents[2]
OURS = {"init", "api-server", "scheduler", "dag-processor", "worker-1", "worker-2", "embedded-aws"}

needs_compose = pytest.mark.skipif(shutil.which("docker-compose") is None, reason="docker-compose is not installed")


def make_env(path: Path, *options: str) -> str:
    run = subprocess.run(
        [sys.executable, ROOT / "deploy" / "make_env.py", "--file", path, *options],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    return run.stdout + run.stderr


def variables(path: Path) -> dict[str, str]:
    return dict(re.findall(r"^(\w+)=(.*)$", path.read_text(encoding="utf-8"), re.MULTILINE))


def compose(folder: Path, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    shutil.copy(ROOT / "docker-compose.yml", folder)
    clean = {"PATH": os.environ["PATH"], "HOME": str(folder)} | (environment or {})
    return subprocess.run(
        ["docker-compose", "config"], cwd=folder, env=clean, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module", params=["real", "demo"])
def parsed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("compose")
    make_env(folder / ".env", *(["--demo"] if request.param == "demo" else []))
    run = compose(folder)
    assert run.returncode == 0, run.stderr
    loaded: dict[str, Any] = yaml.safe_load(run.stdout)
    return {"is_demo": request.param == "demo", "env": variables(folder / ".env"), **loaded}


@needs_compose
def test_the_embedded_aws_comes_only_with_its_profile(parsed: dict[str, Any]) -> None:
    expected = OURS | {"postgres", "redis"}
    assert parsed["services"].keys() >= expected - {"embedded-aws"}
    assert parsed["services"]["embedded-aws"]["profiles"] == ["demo"]
    assert (parsed["env"].get("COMPOSE_PROFILES") == "demo") == parsed["is_demo"]


@needs_compose
def test_every_setting_of_the_scan_reaches_the_processes_that_run_it_and_no_other(parsed: dict[str, Any]) -> None:
    names = {PREFIX + field.upper() for field in Settings.model_fields}
    for service, definition in parsed["services"].items():
        given = {name for name in definition.get("environment", {}) if name.startswith(PREFIX)}
        assert given == (names if service in {"dag-processor", "worker-1", "worker-2"} else set()), service
    worker = parsed["services"]["worker-1"]["environment"]
    assert worker["ECS_EXPOSURE_EXTERNAL_ID"] == parsed["env"]["ECS_EXPOSURE_EXTERNAL_ID"]
    assert f"lake:{worker['ECS_EXPOSURE_LAKE']}:rw" in parsed["services"]["worker-2"]["volumes"]


@needs_compose
def test_every_long_lived_service_is_checked_restarted_bounded_and_unprivileged(parsed: dict[str, Any]) -> None:
    for name, service in parsed["services"].items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["mem_limit"], name
        if name != "init":
            assert service["restart"] == "unless-stopped", name
            assert service["healthcheck"]["test"], name
        if name not in OURS:
            assert service["user"] not in ("", "root", "0"), name
            assert re.search(r":\d+\.\d+", service["image"]), name


@needs_compose
def test_nothing_is_published_but_the_ui_and_only_to_this_machine(parsed: dict[str, Any]) -> None:
    ports = {name: service["ports"] for name, service in parsed["services"].items() if "ports" in service}
    assert ports == {"api-server": ["127.0.0.1:8080:8080/tcp"]}
    for name in ("postgres", "redis"):
        assert list(parsed["services"][name]["networks"]) == ["state"]
    assert parsed["networks"]["state"]["internal"] is True


def pool_of_the_stages() -> str:
    """stages.POOL, read without importing airflow."""
    source = (ROOT / "plugins" / "ecs_exposure_airflow" / "stages.py").read_text(encoding="utf-8")
    assigned = {
        ast.unparse(node.targets[0]): ast.literal_eval(node.value)
        for node in ast.parse(source).body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
    }
    return str(assigned["POOL"])


@needs_compose
def test_the_pool_that_the_dags_need_is_made(parsed: dict[str, Any]) -> None:
    assert f"airflow pools set {pool_of_the_stages()} 1 " in parsed["services"]["init"]["command"][2]


def test_the_local_airflow_makes_the_same_pool() -> None:
    assert pool_of_the_stages() == standalone.POOL


@needs_compose
@pytest.mark.parametrize("missing", ["POSTGRES_PASSWORD", "REDIS_PASSWORD", "AIRFLOW_FERNET_KEY", "AIRFLOW_JWT_SECRET"])
def test_a_missing_secret_is_refused_with_the_command_that_makes_it(tmp_path: Path, missing: str) -> None:
    make_env(tmp_path / ".env")
    text = (tmp_path / ".env").read_text(encoding="utf-8")
    (tmp_path / ".env").write_text(re.sub(rf"^{missing}=.*\n", "", text, flags=re.MULTILINE), encoding="utf-8")
    run = compose(tmp_path)
    assert run.returncode != 0
    assert "make_env.py" in run.stderr


def test_secrets_are_strong_private_and_never_shown(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    said = make_env(path)
    made = variables(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(base64.urlsafe_b64decode(made["AIRFLOW_FERNET_KEY"])) == 32
    assert len(made["AIRFLOW_JWT_SECRET"]) >= 64
    for name, value in made.items():
        assert value not in said, name
        assert re.fullmatch(r"[\w=-]{16,}", value), name
    assert len(set(made.values())) == len(made)


def test_running_it_again_changes_nothing_and_fills_only_gaps(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    path.write_text(
        "# mine\nECS_EXPOSURE_REGIONS=eu-north-1\nPOSTGRES_PASSWORD=chosen-by-hand\nREDIS_PASSWORD=", encoding="utf-8"
    )
    make_env(path)
    first = path.read_text(encoding="utf-8")
    assert first.startswith("# mine\nECS_EXPOSURE_REGIONS=eu-north-1\nPOSTGRES_PASSWORD=chosen-by-hand\n")
    assert first.count("REDIS_PASSWORD=") == 1
    assert variables(path)["REDIS_PASSWORD"]
    assert "nothing changed" in make_env(path)
    assert path.read_text(encoding="utf-8") == first


def test_the_demo_is_the_sample_organisation(tmp_path: Path) -> None:
    make_env(tmp_path / ".env", "--demo")
    made = variables(tmp_path / ".env")
    expected = sample_settings(ROOT / "examples" / "sample_org")
    assert {name: made[name] for name in expected} == expected


def test_a_demo_is_never_mixed_with_a_real_organisations_settings(tmp_path: Path) -> None:
    path = tmp_path / ".env"
    make_env(path)
    before = path.read_text(encoding="utf-8")
    with pytest.raises(subprocess.CalledProcessError) as refused:
        make_env(path, "--demo")
    assert "ECS_EXPOSURE_EXTERNAL_ID" in refused.value.stderr
    assert path.read_text(encoding="utf-8") == before


def test_no_secret_is_committed_and_git_ignores_the_file() -> None:
    ignored = (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines()
    assert ".env" in ignored
    text = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    for name in ("PASSWORD", "SECRET", "FERNET_KEY"):
        for value in re.findall(rf"^\s+\w*{name}\w*: *(\S.*)$", text, re.MULTILINE):
            assert value.startswith(("${", "/opt/airflow/passwords.json")), value


def test_the_image_holds_the_product_and_runs_as_nobody_special() -> None:
    lines = (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if line.startswith("USER ")] == ["USER exposure"]
    copied = {line.split()[1] for line in lines if line.startswith("COPY ") and "--from" not in line}
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert copied == allowed
    assert all((ROOT / name).exists() for name in copied)
    assert any("--require-hashes" in line for line in lines)


def test_the_command_that_writes_the_ui_password_makes_valid_json(tmp_path: Path) -> None:
    service = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))["services"]["api-server"]
    command = service["command"][2].replace("$$", "$").replace("/opt/airflow", str(tmp_path))
    written = command.partition("exec ")[0]
    subprocess.run(
        ["sh", "-ec", written], env={"AIRFLOW_ADMIN_PASSWORD": "a-B_1", "PATH": os.environ["PATH"]}, check=True
    )
    path = tmp_path / "passwords.json"
    assert json.loads(path.read_text(encoding="utf-8")) == {"admin": "a-B_1"}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
