"""Around every request: one count, a log line, and an answer to whatever was raised, a bug included."""

import time
from collections.abc import Callable
from functools import cache
from typing import Final

import structlog
from prometheus_client import Counter
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from services.ingest.api.problems import Refusal, respond
from services.ingest.metrics import REQUESTS

log = structlog.get_logger()

SOURCE: Final = "rufkette.source"
"""Key in the scope under which a route leaves the name of the authenticated source."""
STATUS: Final = "rufkette.status"
"""Key in the scope under which whoever answers leaves the status, before the first byte."""
_OK, _ACCEPTED, _GONE = 200, 202, 499
_QUIET = ("/healthz", "/readyz", "/metrics")


class RequestLog:
    """ASGI middleware. Logs the route's template, never the path: a path can hold what a sender wrote.

    What was accepted (202) has a line of its own that says more; `request.handled` is at debug then.

    Args:
        app: what handles the request.
        explain: the answer to a request that was refused by one of these exceptions.
    """

    def __init__(self, app: ASGIApp, explain: Callable[[Scope, Refusal | HTTPException], Response]) -> None:
        self._app = app
        self._explain = explain

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        try:
            await self._app(scope, receive, send)
        except ClientDisconnect:
            scope[STATUS] = _GONE
        except Exception as error:
            begun = STATUS in scope
            if not begun and isinstance(error, Refusal | HTTPException):
                answer = self._explain(scope, error)
            else:
                # A sender gets an answer whatever bug there is.
                log.exception("request.failed", method=_method(scope), route=_route(scope))
                answer = respond(Refusal(500, "The server made a mistake. Send the request again."))
            if not begun:
                scope[STATUS] = answer.status_code
                await answer(scope, receive, send)
        finally:
            self._record(scope, started)

    def _record(self, scope: Scope, started: float) -> None:
        method, route, status = _method(scope), _route(scope), scope.get(STATUS, 0)
        _counted(method, route, status).inc()
        source = {"source": scope[SOURCE]} if SOURCE in scope else {}
        quiet = status == _ACCEPTED or (status == _OK and route in _QUIET)
        say = log.debug if quiet else log.info
        duration_ms = round((time.perf_counter() - started) * 1000, 2)
        say("request.handled", method=method, route=route, status=status, duration_ms=duration_ms, **source)


@cache
def _counted(method: str, route: str, status: int) -> Counter:
    """Looked up once: finding a counter by its labels takes longer than counting."""
    return REQUESTS.labels(method, route, str(status))


def _method(scope: Scope) -> str:
    known = scope["method"] in {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
    return str(scope["method"]) if known else "other"


def _route(scope: Scope) -> str:
    return getattr(scope.get("route"), "path", "unmatched")
