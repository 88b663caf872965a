"""What counts as a cleartext credential, what does not, and that no value gets out."""

from __future__ import annotations

import json

import pytest
from ecs_exposure.collectors import credential_words as words
from ecs_exposure.collectors.credentials import REDACTED, detect, judge
from hypothesis import given, settings
from hypothesis import strategies as st

KEY = b"k" * 32
RANDOM_40 = "wJa1rXUtnFEMIK7MDENGbPxRfiCYzRzKzLqTd9Qp"
PEM = "-----BEGIN RSA PRIVATE KEY-----\n" + "MIIEpAIBAAKCAQEAq7Lk3v9ZcT4uWmB2" * 8 + "\n-----END RSA PRIVATE KEY-----"


@pytest.mark.parametrize(
    ("name", "value", "is_provider"),
    [
        ("AWS_ACCESS_KEY_ID", "AKIAQ3EGRB7ZKV5NWTLD", True),
        ("AWS_SECRET_ACCESS_KEY", RANDOM_40, True),
        ("ANYTHING", "ghp_" + "a1B2c3D4e5F6" * 3, True),
        ("NOTE", "xoxb-123456789012-abcdefGHIJ12", True),
        ("STRIPE", "sk_live_4eC39HqLyjWDarjtT1zdp7dc", True),
        ("CERT", PEM, True),
        ("DB_PASSWORD", "hunter2", False),
        ("spring.datasource.password ", "S0mething!", False),
        ("DATABASE_URL", "postgres://app:t0psecret@db.internal:5432/app", False),
        ("ConnectionStrings__Main", "Server=db;User Id=app;Password=n0tGuess3d;", False),
        ("JAVA_OPTS", "-Xmx1g -Ddb.password=n0tGuess3d", False),
        ("APP_CONFIG", json.dumps({"db": {"password": "n0tGuess3d"}}), False),
        ("JWT_SECRET", "guc-vgeraz-cpsqu-nsqivv-1066", False),
        ("APP_KEY", "base64:" + "Zm9vYmFyYmF6cXV4MTIzNDU2Nzg5MGFiY2RlZg==", False),
    ],
)
def test_usable_secrets_are_hits(name: str, value: str, is_provider: bool) -> None:
    found = judge(name, value)
    assert found is not None
    assert found.is_provider_pattern is is_provider


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PASSWORD_MIN_LENGTH", "12"),
        ("MYSQL_ALLOW_EMPTY_PASSWORD", "yes"),
        ("POSTGRES_PASSWORD_FILE", "/run/secrets/db"),
        ("DB_SECRET_ARN", "arn:aws:secretsmanager:eu-west-1:111111111111:secret:db-AbCdEf"),
        ("DB_PASSWORD", "arn:aws:ssm:eu-west-1:111111111111:parameter/db"),
        ("SECRET_PATH", "/app/secret"),
        ("TOKEN_URL", "https://login.example.org/oauth/token"),
        ("TOKEN_TTL", "3600"),
        ("JWT_PUBLIC_KEY", "-----BEGIN PUBLIC KEY-----\nMIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A\n-----END PUBLIC KEY-----"),
        ("DB_PASSWORD", "${DB_PASSWORD}"),
        ("DB_PASSWORD", "{{ db_password }}"),
        ("DB_PASSWORD", "<your password>"),
        ("DB_PASSWORD", "changeme"),
        ("API_KEY", "your-api-key-here"),
        ("API_KEY", "xxxxxxxxxxxxxxxxxxxx"),
        ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
        ("ENABLE_TOKEN_AUTH", "true"),
        ("REDIS_URL", "redis://cache.internal:6379/0"),
        ("SENTRY_DSN", "https://0123456789abcdef0123456789abcdef@o1.ingest.sentry.io/42"),
        ("DATABASE_URL", "postgres://app:${DB_PASSWORD}@db/app"),
        ("NEXT_PUBLIC_GOOGLE_MAPS_KEY", "AIzaSyD1a2B3c4D5e6F7g8H9i0J1k2L3m4N5o6P"),
        ("BUILD_ID", "7c491ee4-58f8-4440-abdc-43fb876eb1ad"),
        ("EMPTY_PASSWORD", ""),
    ],
)
def test_references_placeholders_and_settings_are_not(name: str, value: str) -> None:
    assert judge(name, value) is None


def test_every_source_is_judged_and_said() -> None:
    container = {
        "name": "app",
        "environment": [{"name": "DB_PASSWORD", "value": "n0tGuess3d"}, {"name": "OK", "value": None}],
        "command": ["serve", "--db-password", "n0tGuess3d"],
        "entryPoint": ["sh", "-c", "PGPASSWORD=n0tGuess3d psql"],
        "healthCheck": {"command": ["CMD-SHELL", "curl http://admin:n0tGuess3d@localhost/"]},
        "dockerLabels": {"db.password": "n0tGuess3d"},
        "logConfiguration": {"options": {"splunk-token": "B5A79AAD-D822-46CC-80D1-819F80D7BFB0"}},
        "firelensConfiguration": {"options": {"apikey": "9f86d081884c7d659a2feaa0c55ad015"}},
    }
    rows = list(detect(container, KEY))
    assert {row["source"] for row in rows} == {
        "environment", "command", "entry_point", "health_check", "docker_label", "log_option", "firelens_option",
    }  # fmt: skip
    same = {row["fingerprint"] for row in rows if row["source"] in ("environment", "command", "docker_label")}
    assert len(same) == 1, "one value, one fingerprint: reuse shows"
    assert {row["fingerprint"] for row in detect(container, b"other")}.isdisjoint(row["fingerprint"] for row in rows)
    assert "n0tGuess3d" not in repr(rows)


def test_a_secret_pasted_into_the_name_is_not_repeated() -> None:
    secret = "ghp_" + "a1B2c3D4e5F6" * 3
    rows = list(detect({"name": "app", "environment": [{"name": secret, "value": "x"}]}, KEY))
    assert [row["variable_name"] for row in rows] == [REDACTED]


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=80), st.text(max_size=400))
def test_judging_never_fails_and_never_shows_the_value(name: str, value: str) -> None:
    canary = f"{value}CANARY7f3a9c"
    rows = list(detect({"name": "app", "environment": [{"name": name, "value": canary}], "command": [canary]}, KEY))
    assert "CANARY7f3a9c" not in repr(rows)


def test_every_word_that_means_a_credential_is_hinted_at() -> None:
    """The quick look that spares most names the split must let every credential word through."""
    for word in words._SINGLE:
        assert words.meaning(f"APP_{word.upper()}") is not None, word
