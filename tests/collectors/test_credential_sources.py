"""Where a credential may stand beside the environment, and what a value must never do to the scan."""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from ecs_exposure.collectors.credentials import REDACTED, detect, detect_options, judge
from ecs_exposure.collectors.task_definitions import flatten
from ecs_exposure.settings import Settings

KEY = b"k" * 32
SECRET = "n0tGuess3d"
ROOT = Path(__file__).parents[2]


def found(**container: Any) -> set[tuple[str, str]]:
    return {(row["source"], row["detector"]) for row in detect({"name": "app", **container}, KEY)}


@pytest.mark.parametrize(
    "command",
    [
        ["serve", "--db-password", SECRET],
        ["serve", f"--db-password={SECRET}"],
        ["sh", "-c", f"export DB_PASSWORD={SECRET}; exec serve"],
        ["sh", "-c", f'export DB_PASSWORD="{SECRET}" && exec serve'],
        ["java", f"-Dspring.datasource.password={SECRET}", "-jar", "app.jar"],
        ["mysqladmin", "ping", "-h", "localhost", "-uroot", f"-p{SECRET}"],
        ["CMD-SHELL", f"mysqladmin ping -u root -p'{SECRET}' || exit 1"],
        ["redis-cli", "-a", SECRET, "ping"],
        ["redis-server", "--requirepass", SECRET],
        ["mongosh", "-u", "root", "-p", SECRET],
        ["CMD-SHELL", f"curl -sf -u admin:{SECRET} http://localhost/health"],
        ["curl", "-H", "Authorization: Bearer 8f14e45fceea167a5a36dedd4bea2543", "http://localhost"],
        ["curl", "-H", "X-Api-Key: 8f14e45fceea167a5a36dedd4bea2543", "http://localhost"],
        ["sh", "-c", f"PGPASSWORD={SECRET} psql -c 'select 1'"],
        ["migrate", f"postgres://app:{SECRET}@db/app"],
        ["serve", "--config", json.dumps({"db": {"password": SECRET}})],
        ["serve", "--hosts", '["a"]', "--config", json.dumps({"db": {"password": SECRET}}), "--verbose"],
        ["sh", "-c", f"cat > /etc/app.yml <<EOF\ndb:\n  password: {SECRET}\nEOF\n"],
        f"serve --token={SECRET}8f14e45f",
    ],
)
def test_a_secret_moved_to_the_command_is_found(command: Any) -> None:
    for member, value in (("command", command), ("entryPoint", command), ("healthCheck", {"command": command})):
        assert found(**{member: value}), (member, command)


@pytest.mark.parametrize(
    "command",
    [
        ["serve", "--password-file", "/run/secrets/db"],
        ["serve", "--token-ttl=3600", "--auth-mode=oidc"],
        ["serve", "--db-password", "$DB_PASSWORD"],
        ["sh", "-c", 'exec serve --db-password="${DB_PASSWORD}"'],
        ["CMD-SHELL", "mysqladmin ping -h localhost -uroot -p$$MYSQL_ROOT_PASSWORD"],
        ["CMD-SHELL", "mysqladmin ping -h localhost -p${MYSQL_ROOT_PASSWORD} || exit 1"],
        ["CMD-SHELL", "curl -f http://localhost:8080/health || exit 1"],
        ["CMD-SHELL", "pg_isready -U postgres -p 5432"],
        ["redis-cli", "ping"],
        ["redis-server", "--requirepass", "${REDIS_PASSWORD}"],
        ["mkdir", "-p", "/data/token"],
        ["node", "server.js", "--port", "8080"],
        ["curl", "-H", "Authorization: Bearer $TOKEN", "http://localhost"],
        [None, 7, {"password": "x"}],
    ],
)
def test_commands_without_one_are_left_alone(command: Any) -> None:
    for member, value in (("command", command), ("entryPoint", command), ("healthCheck", {"command": command})):
        assert found(**{member: value}) == set(), (member, command)


def test_a_secret_moved_to_a_label_or_an_option_is_found() -> None:
    assert found(dockerLabels={"com.acme.db-password": SECRET}) == {("docker_label", "named_password")}
    assert found(dockerLabels={"note": f"postgres://app:{SECRET}@db/app"}) == {("docker_label", "url_password")}
    assert found(
        logConfiguration={"logDriver": "splunk", "options": {"splunk-token": "9F86D081-884C-4D65-9A2F-EAA0C55AD015"}}
    )
    assert (
        found(logConfiguration={"options": {"fluentd-address": "x", "awslogs-group": "/ecs/secret-service"}}) == set()
    )
    assert found(firelensConfiguration={"type": "fluentbit", "options": {"http_passwd": SECRET}})
    rows = list(detect_options("share", "volume_option", {"type": "cifs", "o": f"username=app,password={SECRET}"}, KEY))
    assert [(row["container_name"], row["source"]) for row in rows] == [("share", "volume_option")]


@pytest.mark.parametrize(
    "name",
    [
        f"SESSION_SECRET={SECRET}",
        f"DB_URL=postgres://app:{SECRET}@db/app",
        f"postgres://app:{SECRET}@db/app",
        "ghp_" + "a1B2c3D4e5F6" * 3,
        "AKIA" + "Q3EGRB7ZKV5NWTLD",
    ],
)
def test_a_secret_standing_in_the_name_is_found_and_not_repeated(name: str) -> None:
    rows = list(detect({"name": "app", "environment": [{"name": name, "value": "x"}]}, KEY))
    assert [row["variable_name"] for row in rows] == [REDACTED]
    assert SECRET not in repr(rows)


@pytest.mark.parametrize(
    "name", ["DB_PASSWORD", "A=B", "x" * 300, "ConnectionStrings__Default", "spring.datasource.url "]
)
def test_a_name_alone_is_no_secret(name: str) -> None:
    assert found(environment=[{"name": name, "value": "7"}, {"name": name, "value": ""}]) == set()


# Each repeats what makes a pattern begin, stop short and begin again.
HOSTILE = {
    "one letter": "a",
    "spaces": " ",
    "open brackets": "[",
    "open objects": '{"a":',
    "quotes": '"',
    "names": "password=",
    "options": "--password ",
    "dashes": "-a",
    "assignments without a value": "a b = ",
    "addresses without an end": "https://user:password",
    "users": "a:b@",
    "tokens begun": "xoxb-1-ghp_-AKIA-SK-key-",
    "keys begun": "-----BEGIN PRIVATE KEY-----",
    "encoded keys begun": "LS0tLS1CRUdJTi",
    "web tokens begun": "eyJaaaaaaaa.",
    "headers": "authorization: bearer ",
    "clients": "mysql curl redis-cli -p -a -u ",
    "paths": "/a",
    "dots": "a.",
    "templates": "${",
    "lines": "a: b\n",
    "words": "your",
    "signatures": "?sig=",
    "surrogates": "\ud800",
}


def test_no_value_makes_the_detector_slow() -> None:
    """Values of a mebibyte, in every place, in a process that is killed long after it should be done."""
    script = """
import sys
from tests.collectors.test_credential_sources import HOSTILE, judge, found
for text in HOSTILE.values():
    value = text * (1024 * 1024 // len(text))
    for name in ("DB_PASSWORD", "API_KEY", value):
        judge(name, value)
        judge(name, value + "!")
    found(environment=[{"name": value, "value": value}], command=[value], dockerLabels={value: value})
print("done")
"""
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=300, check=False,
        env={"PYTHONPATH": f"{ROOT}:{ROOT / 'plugins'}", "PYTHONIOENCODING": "utf-8"},
    )  # fmt: skip
    assert done.stdout.strip() == "done", done.stderr[-2000:]


def test_a_secret_behind_all_the_padding_a_task_definition_may_have_is_found() -> None:
    assert judge("NOTE", " " * 10 + "x " * 20_000 + "ghp_" + "a1B2c3D4e5F6" * 3)
    assert judge("NOTE", "x " * 20_000 + f"password={SECRET}")


def test_variables_of_a_whole_definition_are_all_judged() -> None:
    environment = [{"name": f"V{number}", "value": "x"} for number in range(2000)]
    environment.append({"name": "DB_PASSWORD", "value": SECRET})
    definition = {"family": "f", "containerDefinitions": [{"name": "c", "environment": environment}]}
    rows = flatten(
        definition, settings=Settings(), account_id="1" * 12, region="eu-west-1",
        snapshot_date=date(2026, 11, 2), fingerprint_key=KEY,
    )  # fmt: skip
    assert [row["variable_name"] for dataset, row in rows if dataset == "credential"] == ["DB_PASSWORD"]
