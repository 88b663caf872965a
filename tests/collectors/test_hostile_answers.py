"""Answers no service should give, to every collector over real HTTP: nothing crashes or hangs, coverage says what.

Recorded answers are spoilt on the wire, so botocore's own parsers meet them first: members gone, null, of another
type, huge, nested a thousand deep, of characters that are none.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import date
from typing import Any

import pytest
from ecs_exposure.collectors import COLLECTORS, Target, collect_target
from ecs_exposure.collectors.ecr import ImageRequest
from ecs_exposure.collectors.images import collect_images
from ecs_exposure.collectors.organizations import DiscoveryError, discover
from ecs_exposure.schemas.snapshots import SNAPSHOTS
from ecs_exposure.settings import load
from embedded_aws import protocol
from embedded_aws.http_server import HttpServer
from embedded_aws.moto_app import SCOPE
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.collectors.playback import _ASSUMED, PAYLOADS, encode, payload

ACCOUNT, REGION, DAY = "111111111111", "eu-west-1", date(2026, 11, 2)
STATUSES = {"ok", "denied", "not_enabled", "excluded", "failed"}
DEEP = "[" * 900 + "]" * 900
VALUES = [
    "null", "true", "-1", "1" + "0" * 400, '""', json.dumps("x" * 100_000), '"\\ud800"', json.dumps("\x00\x1b[31m"),
    '"not-a-date"', "[]", "{}", "[null]", '{"a": null}', DEEP,
]  # fmt: skip
SPOILT = st.lists(st.tuples(st.integers(0, 400), st.sampled_from(["drop", "repeat", *range(len(VALUES))])), max_size=6)


class Spoiled:
    """Gives every call of an operation its recorded answer, spoilt at the drawn places of each answer."""

    def __init__(self) -> None:
        self.spoilt: list[tuple[int, Any]] = []
        self.is_inspector_off = False

    def __call__(self, environ: Any, start_response: Any) -> list[bytes]:
        body = environ["wsgi.input"].read()
        scope = SCOPE.search(environ.get("HTTP_AUTHORIZATION", ""))
        assert scope is not None
        target = {"x-amz-target": environ.get("HTTP_X_AMZ_TARGET", "")}
        request = protocol.Request(
            environ["REQUEST_METHOD"], environ["PATH_INFO"], environ.get("QUERY_STRING", ""), target, body
        )
        service = protocol.service_of(scope["service"], request)
        operation = protocol.operation_name(service, request)
        response = encode(service, operation, _answer(service, operation))
        whole = response.body
        if self.is_inspector_off and operation == "BatchGetAccountStatus":
            whole = whole.replace(b'"ENABLED"', b'"DISABLED"')
        sent = whole if service == "sts" else self._spoil(whole)
        start_response(f"{response.status} OK", [*response.headers])
        return [sent]

    def _spoil(self, body: bytes) -> bytes:
        if body.lstrip().startswith(b"<"):
            return _spoil_xml(body.decode(), self.spoilt).encode("utf-8", errors="surrogatepass")
        answer = json.loads(body or b"{}")
        for place, what in self.spoilt:
            holders = list(_holders(answer))
            if not holders:
                break
            holder, key = holders[place % len(holders)]
            if what == "drop":
                del holder[key]
            elif what == "repeat":
                holder[key] = [holder[key]] * 3 if isinstance(holder, list) else holder[key]
            else:
                holder[key] = json.loads(VALUES[what])
        return json.dumps(answer).encode()


def _answer(service: str, operation: str) -> dict[str, Any]:
    if service == "sts":
        return _ASSUMED
    if not (PAYLOADS / f"{service}_{operation}.json").exists():
        return {}
    answer = next((item for item in payload(service, operation) if "error" not in item), {})
    return {key: value for key, value in answer.items() if not re.search("token|marker|truncated", key, re.IGNORECASE)}


def _holders(node: Any, depth: int = 0) -> Iterator[tuple[Any, Any]]:
    if depth > 30:
        return
    keys = list(node) if isinstance(node, dict) else range(len(node)) if isinstance(node, list) else ()
    for key in keys:
        yield node, key
        yield from _holders(node[key], depth + 1)


def _spoil_xml(text: str, spoilt: list[tuple[int, Any]]) -> str:
    for place, what in spoilt:
        leaves = list(re.finditer(r"<(\w+)>([^<]*)</\1>", text))
        if not leaves:
            break
        leaf = leaves[place % len(leaves)]
        if what == "drop":
            text = text[: leaf.start()] + text[leaf.end() :]
        elif what == "repeat":
            text = text[: leaf.end()] + leaf[0] * 2 + text[leaf.end() :]
        else:
            value = VALUES[what]
            inner = "<a>" * 900 + "</a>" * 900 if value is DEEP else value
            text = text[: leaf.start(2)] + inner + text[leaf.end(2) :]
    return text


@pytest.fixture(scope="module")
def spoiled() -> Iterator[Spoiled]:
    app = Spoiled()
    server = HttpServer(app, "127.0.0.1", 0)
    server.start()
    with pytest.MonkeyPatch.context() as environment:
        for name, value in {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.port}",
            "AWS_ACCESS_KEY_ID": "AKIAPLAYBACKPLAYBACK",
            "AWS_SECRET_ACCESS_KEY": "playback",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_MAX_ATTEMPTS": "1",
        }.items():
            environment.setenv(name, value)
        yield app
    server.stop()
    assert not server.failures


def _access() -> tuple[Any, Any]:
    from ecs_exposure.aws import AwsAccess

    made = load(organization_account_id=ACCOUNT, regions=(REGION,), rate_share=1.0)
    return AwsAccess(made), made


def _hold(coverage: list[dict[str, Any]], rows: dict[str, list[dict[str, Any]]]) -> None:
    """Statuses are known, messages are short lines, and rows exist only where the dataset was seen."""
    for row in coverage:
        assert row["status"] in STATUSES
        assert row["status"] == "ok" or row["message"]
        message = row["message"] or ""
        assert len(message) <= 500
        assert message.isprintable()
    seen = {row["dataset"] for row in coverage if row["status"] == "ok"}
    assert {name for name, found in rows.items() if found} <= seen


SLOW = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@pytest.mark.parametrize("region", [REGION, "global"])
@SLOW
@given(SPOILT)
def test_a_target_is_told_whole_whatever_its_services_answer(
    spoiled: Spoiled, region: str, spoilt: list[tuple[int, Any]]
) -> None:
    spoiled.spoilt = spoilt
    access, made = _access()
    result = collect_target(access, made, Target(ACCOUNT, region), snapshot_date=DAY, fingerprint_key=b"k" * 32)
    scope = "global" if region == "global" else "region"
    wanted = [name for item in COLLECTORS if item.scope == scope for name in item.datasets]
    assert sorted(row["dataset"] for row in result.coverage) == sorted(wanted)
    _hold(result.coverage, result.rows)
    for name, rows in result.rows.items():
        assert {key for row in rows for key in row} <= set(SNAPSHOTS[name].column_names)


@pytest.mark.parametrize("is_inspector_off", [False, True])
@SLOW
@given(SPOILT)
def test_images_are_told_whole_whatever_ecr_and_inspector_answer(
    spoiled: Spoiled, is_inspector_off: bool, spoilt: list[tuple[int, Any]]
) -> None:
    spoiled.spoilt, spoiled.is_inspector_off = spoilt, is_inspector_off
    access, made = _access()
    request = ImageRequest(ACCOUNT, REGION, "web", image_digests=frozenset({"sha256:" + "a" * 64}))
    coverage = [
        row
        for _, name, rows in collect_images(access, made, REGION, [request], snapshot_date=DAY)
        if name == "coverage"
        for row in rows
    ]
    assert coverage
    _hold(coverage, {})


@SLOW
@given(SPOILT)
def test_an_organisation_that_cannot_be_read_is_said_in_one_line(
    spoiled: Spoiled, spoilt: list[tuple[int, Any]]
) -> None:
    spoiled.spoilt = spoilt
    access, made = _access()
    try:
        organization = discover(access, made, DAY)
    except DiscoveryError as error:
        assert ACCOUNT in str(error)
        assert str(error).isprintable()
    else:
        _hold([row for row in organization.coverage if row["status"] != "excluded"], {})
