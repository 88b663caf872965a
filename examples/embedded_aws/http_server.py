"""A threaded HTTP/1.1 server for one WSGI application.

werkzeug's handler answers every request with `Connection: close` and lingers 10 ms on the socket; clients of
AWS keep connections open and make thousands of calls. This handler reads the whole request first, so that a
connection can safely carry the next one.
"""

from __future__ import annotations

import contextlib
import io
import socket
import threading
import traceback
from typing import Any

from moto.moto_server.werkzeug_app import MotoRequestHandler
from werkzeug.serving import BaseWSGIServer, make_server
from werkzeug.test import run_wsgi_app


class ConnectionDropped(Exception):
    """Raised by the application to close the connection without an answer."""


class KeepAliveHandler(MotoRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # headers and body are two writes: Nagle would hold the second for 40 ms
    wbufsize = -1

    def setup(self) -> None:
        super().setup()
        self.server.open_connections.add(self.connection)  # type: ignore[attr-defined]

    def finish(self) -> None:
        self.server.open_connections.discard(self.connection)  # type: ignore[attr-defined]
        super().finish()

    def handle_expect_100(self) -> bool:
        """S3 clients send `Expect: 100-continue` and wait a second for it: it must leave the buffer at once."""
        self.send_response_only(100)
        self.end_headers()
        self.wfile.flush()
        return True

    def run_wsgi(self) -> None:
        body = self._read_body()
        environ = self.make_environ()
        environ.pop("HTTP_TRANSFER_ENCODING", None)
        environ["wsgi.input_terminated"] = False
        environ["CONTENT_LENGTH"] = str(len(body))
        environ["wsgi.input"] = io.BytesIO(body)
        try:
            chunks, status, headers = run_wsgi_app(self.server.app, environ, buffered=True)
            answer = b"".join(chunks)
        except ConnectionDropped:
            self.close_connection = True
            with contextlib.suppress(OSError):  # the client may have gone first
                self.connection.shutdown(socket.SHUT_RDWR)
            return
        except Exception:  # noqa: BLE001 a bug of ours: a 501 (which botocore does not retry) now, raised on exit
            text = traceback.format_exc()
            self.server.failures.append(text)  # type: ignore[attr-defined]
            status, headers, answer = "501 Not Implemented", [("Content-Type", "text/plain")], text.encode()
        self._answer(status, headers, answer)

    def _read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            chunks = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                chunks.append(self.rfile.read(size))
                self.rfile.readline()
            while self.rfile.readline().strip():
                pass
            return b"".join(chunks)
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _answer(self, status: str, headers: Any, body: bytes) -> None:
        code, _, reason = status.partition(" ")
        self.send_response(int(code), reason)
        names = {name.lower() for name, _ in headers}
        for name, value in headers:
            self.send_header(name, value)
        if "content-length" not in names and int(code) not in (204, 304):
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
        self.wfile.flush()

    def log_request(self, code: Any = "-", size: Any = "-") -> None:
        """One line per call would drown what the user came for."""


class HttpServer:
    """Serves `application` from `start` to `stop`; `failures` holds tracebacks of its bugs."""

    def __init__(self, application: Any, host: str, port: int) -> None:
        self._server: BaseWSGIServer = make_server(
            host, port, application, threaded=True, request_handler=KeepAliveHandler
        )
        self.failures: list[str] = []
        self._server.failures = self.failures  # type: ignore[attr-defined]
        self._connections: set[socket.socket] = set()
        self._server.open_connections = self._connections  # type: ignore[attr-defined]
        self._thread = threading.Thread(target=self._server.serve_forever, name="embedded-aws", daemon=True)

    @property
    def port(self) -> int:
        return int(self._server.server_port)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
        for connection in list(self._connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
