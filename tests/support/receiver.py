"""A real HTTP server that is called back: it records each request and answers as told."""

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.support.waiting import eventually


@dataclass(frozen=True, slots=True)
class Request:
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


Respond = Callable[[Request], int]
"""The status that a request gets."""


class Receiver:
    """Answers 204 unless `respond` says otherwise; `requests` holds all, also those that were refused."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.respond: Respond = lambda _: 204
        self.location: str | None = None
        """Where a redirect leads."""
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.do_POST()

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                request = Request(self.path, {k.lower(): v for k, v in self.headers.items()}, body)
                status = receiver.respond(request)
                receiver.requests.append(request)
                self.send_response(status)
                if receiver.location is not None:
                    self.send_header("Location", receiver.location)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    async def wait_for(self, count: int, *, within: float = 30.0, path: str = "") -> list[Request]:
        """Wait for so many requests whose path begins so."""

        async def found() -> list[Request]:
            return [request for request in self.requests if request.path.startswith(path)]

        return await eventually(found, lambda requests: len(requests) >= count, within=within)

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
