"""moto through boto3 without a socket: the loader makes hundreds of calls before the server is up."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import boto3
import botocore.session
from botocore import UNSIGNED
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from moto.iam.models import iam_backends
from moto.moto_api._internal import mock_random
from werkzeug.test import EnvironBuilder

from embedded_aws.moto_app import Moto


def isolated_session() -> boto3.Session:
    """A session that knows nothing of the user's own profiles and configuration; clients bring their credentials."""
    own = {
        "profile": (None, None, None, None),
        "config_file": (None, None, os.devnull, None),
        "credentials_file": (None, None, os.devnull, None),
    }
    return boto3.Session(botocore_session=botocore.session.Session(session_vars=own))


class Direct:
    """Calls moto in process, in any account and Region, with identifiers that depend on names alone."""

    def __init__(self, moto: Moto) -> None:
        self._moto = moto
        self._keys: dict[str, str] = {}
        self._clients: dict[str, Any] = {}
        self._scope = ""
        self._session = isolated_session()

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
            # A host without a Region, so that moto reads it from the scope.
            client = self._session.client(
                service, region_name="us-east-1", endpoint_url="http://localhost", config=config
            )
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
            data=body,
            base_url=f"http://{url.netloc}",
        )
        response = self._moto.ask(builder.get_environ(), body)
        return AWSResponse(request.url, response.status, dict(response.headers), _Raw(response.body))


class _Raw(io.BytesIO):
    """What botocore expects beneath a response."""

    def stream(self, **_: Any) -> Any:
        while chunk := self.read(65536):
            yield chunk


def seed(*names: str) -> None:
    """Make the identifiers moto hands out next depend on these names, so that two runs agree on them."""
    mock_random.seed("/".join(names))
