"""The embedded AWS: one process, one port, many accounts. moto plays most services, our fakes the rest."""

from __future__ import annotations

import gc
import importlib.util
import json
import os
import re
import secrets
import threading
from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs
from wsgiref.types import StartResponse, WSGIEnvironment

from moto.core.base_backend import BackendDict
from moto.core.model_instances import reset_model_data
from moto.iam.models import iam_backends
from moto.organizations.models import organizations_backends
from moto.utilities.utils import get_partition

from embedded_aws import protocol
from embedded_aws.access import ADMINISTRATOR, Access, Principal
from embedded_aws.call_log import CallLog
from embedded_aws.contract import AwsError, Call, Fake, NotPlayed
from embedded_aws.direct import isolated_session
from embedded_aws.ecr_scans import EcrScans
from embedded_aws.ecs import Ecs
from embedded_aws.faults import Fault, Faults
from embedded_aws.fronts import Fronts
from embedded_aws.http_server import ConnectionDropped, HttpServer
from embedded_aws.inspector2 import Inspector2
from embedded_aws.moto_app import SCOPE, Moto
from embedded_aws.organization import Organization

_DEFAULT_ACCOUNT = "123456789012"


class EmbeddedAws:
    """An AWS on 127.0.0.1 for unchanged boto3 clients; use as a context manager, one at a time in a process.

    organization: folder of an organisation's YAML (see examples/sample_org/README.md), played up to `night`.
    state: folder where the fakes' state is restored from on enter and saved to on exit. With an organisation,
    ECS and Inspector are what its nights make them, so only Security Hub is restored.
    port: 0 takes a free one. Credentials that belong to nobody are taken for the scanner's own user.
    """

    _running = threading.Lock()

    def __init__(
        self,
        organization: Path | None = None,
        night: int = 1,
        state: Path | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
    ) -> None:
        if night < 1:
            raise ValueError(f"nights count from 1, not {night}")
        self._organization_path = organization
        self._state = state
        self._address = (host, port)
        self.moto = Moto()
        self._faults = Faults()
        self._lock = threading.Lock()
        self._principals: dict[str, Principal] = {}
        self._clients = isolated_session()
        self.night = night
        self.access = Access()
        self.ecs = Ecs()
        self.inspector2 = Inspector2()
        self.ecr_scans = EcrScans()
        self.fronts = Fronts()
        self.securityhub: Any = _securityhub()
        self.calls: Counter[tuple[str, str, str, str]] = Counter()
        """Calls by (caller's account, Region, service, operation), moto's included."""
        self.calls_by_role: Counter[tuple[str, str, str]] = Counter()
        """Calls by (role name, service, operation); the scanner's own user is the role ''."""
        self.log = CallLog()
        self.endpoint_url = ""
        self.organization: Organization | None = None

    @property
    def _fakes(self) -> dict[str, Fake]:
        fakes: dict[str, Fake] = {
            "ecs": self.ecs,
            "inspector2": self.inspector2,
            "cloudfront": self.fronts,
            "globalaccelerator": self.fronts,
        }
        if self.securityhub is not None:
            fakes["securityhub"] = self.securityhub
        return fakes

    def _fake_of(self, service: str, operation: str) -> Fake | None:
        """Who answers: one of our fakes, else moto (None)."""
        if (service, operation) == ("ecr", "DescribeImageScanFindings"):
            return self.ecr_scans
        return self._fakes.get(service)

    # --- life ---

    def __enter__(self) -> Self:
        if not self._running.acquire(blocking=False):
            raise RuntimeError("an EmbeddedAws is already running in this process; moto's state is the process's")
        try:
            self.reset()
            self._restore()
            if self._organization_path is not None:
                self._load(self._organization_path)
            self._server = HttpServer(self, *self._address)
            # Moto and its models are half a million objects; requests of megabytes would have them searched for garbage
            # again and again.
            gc.freeze()
            self._server.start()
        except BaseException:
            self._running.release()
            raise
        self.endpoint_url = f"http://127.0.0.1:{self._server.port}"
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        try:
            self._server.stop()
            gc.unfreeze()
            self._save()
        finally:
            self._running.release()
        if self._server.failures and kind is None:
            raise RuntimeError("the embedded AWS failed while answering:\n" + "\n".join(self._server.failures))

    def reset(self) -> None:
        """Forget everything, moto's backends and the organisation included."""
        BackendDict.reset()
        reset_model_data()
        organizations_backends.master_accounts.clear()  # BackendDict.reset leaves it, and ids would clash
        for fake in (*self._fakes.values(), self.ecr_scans):
            fake.restore({})
        self._faults.clear()
        self.log.clear()
        with self._lock:
            self.calls.clear()
            self.calls_by_role.clear()
        self.access = Access()
        self.organization = None
        self._principals.clear()
        self._scanner("aws", _DEFAULT_ACCOUNT)

    def _load(self, path: Path) -> None:
        self.organization = Organization(path, self)
        self.organization.play(self.night)
        self._scanner("aws", self.organization.scanner_account)

    def advance_to(self, night: int) -> None:
        """Let an organisation's later night begin, keeping what was written to the fakes."""
        if self.organization is None or night <= self.night:
            raise ValueError(f"cannot advance to night {night}: it needs an organisation and a later night")
        self.organization.play(night)
        self.night = night

    def _scanner(self, partition: str, account_id: str) -> None:
        """The scanner's own identity: a user whose key the environment carries."""
        iam = iam_backends[account_id][partition]
        iam.create_user(region_name="us-east-1", user_name="ecs-exposure-scanner")
        key = iam.create_access_key("ecs-exposure-scanner")
        self._base_key = (key.access_key_id, key.secret_access_key)
        self._base = Principal(account_id, f"arn:{partition}:iam::{account_id}:user/ecs-exposure-scanner")
        self._principals[key.access_key_id] = self._base

    @property
    def failures(self) -> list[str]:
        """Tracebacks of our own bugs since the start; any left makes the end of the `with` block fail."""
        return self._server.failures

    # --- state between runs ---

    def _kept(self) -> dict[str, Fake]:
        owned = (
            {"ecs", "inspector2", "cloudfront", "globalaccelerator"} if self._organization_path is not None else set()
        )
        return {name: fake for name, fake in self._fakes.items() if name not in owned}

    def _restore(self) -> None:
        if self._state is None:
            return
        for name, fake in self._kept().items():
            path = self._state / f"{name}.json"
            if path.exists():
                fake.restore(json.loads(path.read_text(encoding="utf-8")))

    def _save(self) -> None:
        if self._state is None:
            return
        self._state.mkdir(parents=True, exist_ok=True)
        for name, fake in self._kept().items():
            write_atomically(self._state / f"{name}.json", json.dumps(fake.dump()))
        calls = [[*call, count] for call, count in sorted(self.calls.items())]
        by_role = [[*call, count] for call, count in sorted(self.calls_by_role.items())]
        write_atomically(self._state / "calls.json", json.dumps({"calls": calls, "by_role": by_role}))

    # --- what a caller needs ---

    @property
    def today(self) -> date | None:
        """The day of the organisation's current night."""
        return self.organization.day(self.night) if self.organization is not None else None

    def environ(self) -> dict[str, str]:
        """All the variables a child process needs to use this AWS and no other."""
        no_proxy = os.environ.get("NO_PROXY", "")
        variables = {
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_ENDPOINT_URL_ECS": self.endpoint_url,
            "AWS_ENDPOINT_URL_INSPECTOR2": self.endpoint_url,
            "AWS_ENDPOINT_URL_SECURITYHUB": self.endpoint_url,
            "AWS_ACCESS_KEY_ID": self._base_key[0],
            "AWS_SECRET_ACCESS_KEY": self._base_key[1],
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
            # Whatever the user's own environment says must not reach a real account by accident, or stop the child.
            "AWS_SESSION_TOKEN": "embedded",
            "AWS_PROFILE": "default",
            "AWS_DEFAULT_PROFILE": "default",
            "AWS_CONFIG_FILE": str(Path(__file__).with_name("aws_config")),
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "false",
            "AWS_USE_FIPS_ENDPOINT": "false",
            "AWS_USE_DUALSTACK_ENDPOINT": "false",
            "NO_PROXY": f"{no_proxy},127.0.0.1" if no_proxy else "127.0.0.1",
        }
        if self.today is not None:
            variables |= {"EMBEDDED_AWS_NIGHT": str(self.night), "EMBEDDED_AWS_DATE": self.today.isoformat()}
        return variables

    def client(self, service: str, account_id: str, region: str, **kwargs: Any) -> Any:
        """A boto3 client that acts in the account as its administrator: no rule of the sample binds it."""
        partition = get_partition(region)
        key = iam_backends[account_id][partition].create_temp_access_key()
        arn = f"arn:{partition}:sts::{account_id}:assumed-role/{ADMINISTRATOR}/embedded"
        self._principals[key.access_key_id] = Principal(account_id, arn, ADMINISTRATOR)
        return self._clients.client(
            service,
            region_name=region,
            endpoint_url=self.endpoint_url,
            aws_access_key_id=key.access_key_id,
            aws_secret_access_key=key.secret_access_key,
            aws_session_token=secrets.token_hex(8),
            **kwargs,
        )

    def fault(
        self,
        *,
        service: str,
        operation: str,
        account_id: str | None = None,
        region: str | None = None,
        code: str | None = None,
        status: int = 400,
        message: str = "",
        times: int | None = None,
        after: int = 0,
        truncate: bool = False,
        drop: bool = False,
        lose_answer: bool = False,
    ) -> None:
        """Make matching calls of a service (boto3's names, e.g. "elbv2" and "DescribeListeners") fail: with an error
        `code`, with an answer that lost its lists (`truncate`), or with a connection dropped before anything was done
        (`drop`) or when all was done (`lose_answer`). The first `after` matching calls pass, then `times` of them fail
        (None: all)."""
        fault = Fault(
            service, operation, account_id, region, code, status, message, times, after, truncate, drop, lose_answer
        )
        self._faults.add(fault)

    def end_faults(self) -> None:
        """From now on nothing fails by injection, single findings (`securityhub.refuse`) included."""
        self._faults.clear()
        if self.securityhub is not None:
            self.securityhub.end_refusals()

    # --- answering ---

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> list[bytes]:
        response = self._respond(environ)
        reason = "OK" if response.status < 400 else "Error"
        start_response(f"{response.status} {reason}", response.headers)
        return [response.body]

    def _respond(self, environ: WSGIEnvironment) -> protocol.Response:
        body = environ["wsgi.input"].read()
        scope = SCOPE.search(environ.get("HTTP_AUTHORIZATION", ""))
        if scope is None:  # moto's own pages, unsigned or presigned requests
            return self.moto.ask(environ, body)
        request = protocol.Request(
            environ["REQUEST_METHOD"], environ["PATH_INFO"], environ.get("QUERY_STRING", ""), _headers(environ), body
        )
        service = protocol.service_of(scope["service"], request)
        try:
            operation = protocol.operation_name(service, request)
        except protocol.UnknownOperation as unknown:
            if service not in self._fakes:  # one of moto's many other services
                return self.moto.ask(environ, body)
            return protocol.error(service, "UnknownOperationException", str(unknown), 404)
        principal = self._principal(scope["key"], scope["region"])
        if principal is None:
            message = "The security token included in the request is invalid."
            return protocol.error(service, "UnrecognizedClientException", message, 403)
        environ["HTTP_X_MOTO_ACCOUNT_ID"] = principal.account_id
        fake = self._fake_of(service, operation)
        parameters = {} if fake is None else protocol.decode(service, operation, request)
        call = Call(principal.account_id, scope["region"], service, operation, parameters, len(body))
        with self._lock:
            self.calls[call.account_id, call.region, service, operation] += 1
            self.calls_by_role[principal.role or "", service, operation] += 1
        try:
            response = self._answer(call, principal, fake, environ, body)
        except ConnectionDropped:
            self.log.add(call, principal, "dropped")
            raise
        self.log.add(call, principal, "ok" if response.status < 400 else protocol.error_code(response))
        return response

    def _answer(
        self, call: Call, principal: Principal, fake: Fake | None, environ: WSGIEnvironment, body: bytes
    ) -> protocol.Response:
        fault = self._faults.strike(call)
        if fault is not None and fault.drop:
            raise ConnectionDropped
        if fault is not None and fault.code is not None:
            return protocol.error(call.service, fault.code, fault.message or "injected fault", fault.status)
        action = self.access.refused_action(principal, call)
        if action is not None:
            return protocol.denied(call.service, action, principal.arn)
        try:
            if call.service == "sts" and call.operation == "AssumeRole":
                response = self._assume_role(principal, environ, body)
            elif fake is not None:
                response = protocol.encode(call.service, call.operation, fake.call(call))
            else:
                response = self.moto.ask(environ, body)
        except AwsError as refusal:
            return protocol.error(call.service, refusal.code, refusal.message, refusal.status)
        except NotPlayed as gap:
            return protocol.error(call.service, "NotPlayedByTheEmbeddedAws", str(gap), 501)
        if fault is not None and fault.lose_answer:
            raise ConnectionDropped
        if fault is not None and fault.truncate:
            shorter = protocol.without_lists(call.service, call.operation, response.body)
            headers = [(name, value) for name, value in response.headers if name.lower() != "content-length"]
            return protocol.Response(200, headers, shorter)
        return response

    def _assume_role(self, principal: Principal, environ: WSGIEnvironment, body: bytes) -> protocol.Response:
        fields = {name: values[0] for name, values in parse_qs(body.decode()).items()}
        role_arn = fields.get("RoleArn", "")
        self.access.check_assume_role(principal, role_arn, fields.get("ExternalId"))
        response = self.moto.ask(environ, body)
        key = re.search(rb"<AccessKeyId>(\w+)</AccessKeyId>", response.body)
        if response.status == 200 and key:
            _, partition, _, _, account_id, resource = role_arn.split(":", 5)
            role = resource.rpartition("/")[2]
            arn = f"arn:{partition}:sts::{account_id}:assumed-role/{role}/{fields.get('RoleSessionName')}"
            self._principals[key.group(1).decode()] = Principal(account_id, arn, role)
        return response

    def _principal(self, access_key: str, region: str) -> Principal | None:
        """Who owns the key: a session of ours, a key that somebody created in IAM, else the scanner's own user.

        None for a session of before a reset: taking it for the scanner would answer from the wrong account.
        """
        if access_key in self._principals:
            return self._principals[access_key]
        partition = get_partition(region)
        for account_id, partitions in list(iam_backends.items()):
            if access_key in partitions[partition].access_keys:
                return Principal(account_id, f"arn:{partition}:iam::{account_id}:user/{access_key}")
        return None if access_key.startswith("ASIA") else self._base


def _headers(environ: WSGIEnvironment) -> dict[str, str]:
    headers = {name[5:].replace("_", "-").lower(): value for name, value in environ.items() if name.startswith("HTTP_")}
    headers["content-type"] = environ.get("CONTENT_TYPE", "")
    return headers


def _securityhub() -> Any:
    if importlib.util.find_spec("embedded_aws.securityhub") is None:
        return None  # moto answers, without the contract
    from embedded_aws.securityhub import SecurityHub

    return SecurityHub()


def write_atomically(path: Path, text: str) -> None:
    """Readers see the old content or the new, whatever kills the writer."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)
