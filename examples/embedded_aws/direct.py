"""moto through boto3 without a socket: the loader makes hundreds of calls before the server is up."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore import UNSIGNED
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from moto.iam.models import iam_backends
from moto.moto_api._internal import mock_random
from moto.moto_server.werkzeug_app import DomainDispatcherApplication
from werkzeug.test import EnvironBuilder, run_wsgi_app


class Direct:
    """Calls moto in process, in any account and Region, with identifiers that depend on names alone."""

    def __init__(self, moto: DomainDispatcherApplication) -> None:
        self._moto = moto
        self._keys: dict[str, str] = {}
        self._clients: dict[str, Any] = {}
        self._scope = ""

    @cached_property
    def _session(self) -> boto3.Session:
        return boto3.Session(aws_access_key_id="unused", aws_secret_access_key="unused")

    def call(self, account_id: str, region: str, service: str, operation: str, **parameters: Any) -> dict[str, Any]:
        """`operation` is boto3's method name. Identifiers moto invents are fixed by account, Region and parameters."""
        seed(account_id, region, service, operation, repr(parameters))
        if account_id not in self._keys:
            self._keys[account_id] = iam_backends[account_id]["aws"].create_temp_access_key().access_key_id
        client = self._client(service)
        self._scope = f"Credential={self._keys[account_id]}/20260101/{region}/{client.meta.service_model.signing_name}"
        method: Callable[..., dict[str, Any]] = getattr(client, operation)
        return method(**parameters)

    def _client(self, service: str) -> Any:
        if service not in self._clients:
            config = Config(signature_version=UNSIGNED, parameter_validation=True)
            client = self._session.client(service, region_name="us-east-1", config=config)
            client.meta.events.register("before-send", self._send)
            self._clients[service] = client
        return self._clients[service]

    def _send(self, request: Any, **_: Any) -> AWSResponse:
        url = urlsplit(request.url)
        headers = {
            name: value.decode() if isinstance(value, bytes) else value for name, value in request.headers.items()
        }
        headers["Authorization"] = f"AWS4-HMAC-SHA256 {self._scope}/aws4_request, SignedHeaders=host, Signature=0"
        body = request.body.encode() if isinstance(request.body, str) else request.body or b""
        builder = EnvironBuilder(
            method=request.method,
            path=url.path or "/",
            query_string=url.query,
            headers=headers,
            input_stream=io.BytesIO(body),
            content_length=len(body),
            base_url=f"http://{url.netloc}",
        )
        chunks, status, answer_headers = run_wsgi_app(self._moto, builder.get_environ(), buffered=True)
        return AWSResponse(request.url, int(status.split()[0]), dict(answer_headers), _Raw(b"".join(chunks)))


class _Raw(io.BytesIO):
    """What botocore expects beneath a response."""

    def stream(self, **_: Any) -> Any:
        while chunk := self.read(65536):
            yield chunk


def seed(*names: str) -> None:
    """Make the identifiers moto hands out next depend on these names, so that two runs agree on them."""
    mock_random.seed("/".join(names))
