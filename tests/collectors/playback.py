"""Recorded answers of AWS, played to real boto3 clients over HTTP.

A payload is a list of answers, in the order in which the operation's calls get them, written with boto3's member
names and ISO timestamps. Every answer is held against botocore's output shape before it is sent, so a payload AWS
could not have sent fails the test that plays it.
"""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs
from wsgiref.types import StartResponse, WSGIEnvironment

import botocore.session
from botocore.model import ListShape, MapShape, Shape, StructureShape
from ecs_exposure.aws import AwsAccess
from ecs_exposure.settings import Settings
from embedded_aws import protocol
from embedded_aws.http_server import ConnectionDropped, HttpServer
from embedded_aws.moto_app import SCOPE

PAYLOADS = Path(__file__).with_name("payloads")
DROP = "drop the connection"
_PLAIN: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "long": (int,),
    "float": (float, int),
    "double": (float, int),
}
_ASSUMED = {
    "Credentials": {
        "AccessKeyId": "ASIAPLAYBACKPLAYBACK",
        "SecretAccessKey": "playback",
        "SessionToken": "playback",
        "Expiration": "2099-01-01T00:00:00+00:00",
    }
}


class WrongPayload(Exception):
    """A payload that AWS could not have answered: names the member."""


def payload(service: str, operation: str) -> list[Any]:
    """The recorded answers of one operation (a fresh copy)."""
    return list(json.loads((PAYLOADS / f"{service}_{operation}.json").read_text(encoding="utf-8")))


def conform(shape: Shape, value: Any, where: str) -> Any:
    """The value with its timestamps as datetimes; raises WrongPayload for what the output shape does not allow."""
    if isinstance(shape, StructureShape) and not shape.is_document_type:
        _must(isinstance(value, dict), where, "a structure", value)
        if unknown := sorted(set(value) - set(shape.members)):
            raise WrongPayload(f"{where} has no member {', '.join(unknown)}")
        if missing := sorted(set(shape.required_members) - set(value)):
            raise WrongPayload(f"{where} lacks {', '.join(missing)}")
        return {name: conform(shape.members[name], item, f"{where}.{name}") for name, item in value.items()}
    if isinstance(shape, ListShape):
        _must(isinstance(value, list), where, "a list", value)
        return [conform(shape.member, item, f"{where}[{index}]") for index, item in enumerate(value)]
    if isinstance(shape, MapShape):
        _must(isinstance(value, dict), where, "a map", value)
        return {key: conform(shape.value, item, f"{where}[{key}]") for key, item in value.items()}
    if shape.type_name == "timestamp":
        _must(isinstance(value, str), where, "an ISO timestamp", value)
        return datetime.fromisoformat(value)
    right = isinstance(value, _PLAIN[shape.type_name]) and isinstance(value, bool) == (shape.type_name == "boolean")
    _must(right, where, shape.type_name, value)
    enum = getattr(shape, "enum", [])
    _must(not enum or value in enum, where, f"one of {enum}", value)
    return value


def _must(holds: bool, where: str, what: str, value: object) -> None:
    if not holds:
        raise WrongPayload(f"{where} must be {what}, is {value!r}")


class Playback:
    """Plays answers by (service, operation); use as a context manager.

    A page but the first of a paginated operation is only given to a request that carries the token of the page before.
    Unexpected calls, wrong payloads and wrong tokens fail the `with` block. `calls` lists what was asked.
    """

    def __init__(self, answers: dict[tuple[str, str], list[Any]]) -> None:
        self._answers = {("sts", "AssumeRole"): [_ASSUMED], **answers}
        self._tokens: dict[tuple[str, str], dict[str, str]] = {}
        self._paginators = botocore.session.get_session()
        self.calls: list[tuple[str, str, dict[str, Any]]] = []

    def __enter__(self) -> Playback:
        self._server = HttpServer(self, "127.0.0.1", 0)
        self._server.start()
        self.endpoint_url = f"http://127.0.0.1:{self._server.port}"
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._server.stop()
        if self._server.failures and kind is None:
            raise AssertionError("\n".join(self._server.failures))

    def environ(self) -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_ACCESS_KEY_ID": "AKIAPLAYBACKPLAYBACK",
            "AWS_SECRET_ACCESS_KEY": "playback",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": "/dev/null",
            "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
            "NO_PROXY": "127.0.0.1",
        }

    def access(self, settings: Settings) -> AwsAccess:
        return AwsAccess(settings)

    def asked(self, operation: str) -> list[dict[str, Any]]:
        """Parameters of every call of an operation, in order."""
        return [parameters for _, name, parameters in self.calls if name == operation]

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        response = self._respond(environ)
        start_response(f"{response.status} {'OK' if response.status < 400 else 'Error'}", response.headers)
        return [response.body]

    def _respond(self, environ: WSGIEnvironment) -> protocol.Response:
        body = environ["wsgi.input"].read()
        scope = SCOPE.search(environ.get("HTTP_AUTHORIZATION", ""))
        assert scope is not None, "an unsigned request"
        target = {"x-amz-target": environ.get("HTTP_X_AMZ_TARGET", "")}
        request = protocol.Request(
            environ["REQUEST_METHOD"], environ["PATH_INFO"], environ.get("QUERY_STRING", ""), target, body
        )
        service = protocol.service_of(scope["service"], request)
        operation = protocol.operation_name(service, request)
        is_json = "json" in protocol.service_model(service).metadata["protocol"]
        fields = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        parameters = protocol.decode(service, operation, request) if is_json else fields
        self.calls.append((service, operation, parameters))
        key = (service, operation)
        if key not in self._answers or not self._answers[key]:
            raise AssertionError(f"nothing (more) to answer {service} {operation} {parameters}")
        for name, token in self._tokens.get(key, {}).items():
            assert parameters.get(name) == token, f"{operation} asked for {name} {parameters.get(name)}, not {token}"
        answer = self._answers[key][0] if service == "sts" else self._answers[key].pop(0)
        if answer == DROP:
            raise ConnectionDropped
        if "error" in answer:
            return protocol.error(service, answer["error"], answer.get("message", ""), answer.get("status", 400))
        self._tokens[key] = self._next_tokens(service, operation, answer)
        return encode(service, operation, answer)

    def _next_tokens(self, service: str, operation: str, answer: dict[str, Any]) -> dict[str, str]:
        pages = self._paginators.get_paginator_model(service)._paginator_config.get(operation)  # no public listing
        if pages is None:
            return {}
        taken, given = (
            pages[side] if isinstance(pages[side], list) else [pages[side]] for side in ("input_token", "output_token")
        )
        return {name: answer[out] for name, out in zip(taken, given, strict=True) if answer.get(out)}


def encode(service: str, operation: str, answer: dict[str, Any]) -> protocol.Response:
    """An answer on the wire, in the service's own protocol; raises WrongPayload where botocore's shape is broken."""
    shape = protocol.service_model(service).operation_model(operation).output_shape
    assert shape is not None
    output = conform(shape, answer, f"{service}.{operation}")
    if protocol.service_model(service).metadata["protocol"] not in ("query", "ec2"):
        return protocol.encode(service, operation, output)
    inner = protocol.xml_members(shape, output)
    if wrapper := shape.serialization.get("resultWrapper"):
        inner = f"<{wrapper}>{inner}</{wrapper}>"
    text = f"<{operation}Response>{inner}</{operation}Response>"
    return protocol.Response(200, [("Content-Type", "text/xml")], text.encode())
