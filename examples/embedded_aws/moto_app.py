"""moto's server application, in process."""

from __future__ import annotations

import io
import os
import re
import threading
from typing import Any
from wsgiref.types import WSGIApplication, WSGIEnvironment

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.test import run_wsgi_app

from embedded_aws.protocol import Response

SCOPE = re.compile(r"Credential=(?P<key>[^/]+)/\d{8}/(?P<region>[^/]+)/(?P<service>[^/]+)/aws4_request")

# Thirteen hundred public AMIs in every account and Region cost 0.15 s each and nobody asks for them.
os.environ.setdefault("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")

# Services whose application depends on the signing name alone. S3's depends on the path too.
_PLAIN = {"ec2", "ecr", "elasticloadbalancing", "iam", "organizations", "sts"}


class Moto:
    """Answers a WSGI request with moto; finds the service's application once, not by 90 patterns a request."""

    def __init__(self) -> None:
        self._dispatcher = DomainDispatcherApplication(create_backend_app)
        self._applications: dict[str, Any] = {}
        self._lock = threading.Lock()

    def ask(self, environ: WSGIEnvironment, body: bytes) -> Response:
        environ = {**environ, "wsgi.input": io.BytesIO(body)}
        # One at a time: moto compiles URL rules while it answers, and CPython's AST constructor counts its depth for
        # all threads together ("AST constructor recursion depth mismatch").
        with self._lock:
            chunks, status, headers = run_wsgi_app(self._application(environ), environ, buffered=True)
        return Response(int(status.split()[0]), list(headers.items()), b"".join(chunks))

    def _application(self, environ: WSGIEnvironment) -> WSGIApplication:
        scope = SCOPE.search(environ.get("HTTP_AUTHORIZATION", ""))
        service = scope["service"] if scope else ""
        if service not in _PLAIN:
            application: WSGIApplication = self._dispatcher
            return application
        if service not in self._applications:
            self._applications[service] = self._dispatcher.get_application(environ)
        found: WSGIApplication = self._applications[service]
        return found
