"""What both HTTP services share: running the server, one log line a request, and the routes operations look at."""

import errno
import signal
import socket
import sys
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from types import FrameType
from typing import Final

import structlog
import uvicorn
from fastapi import FastAPI, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, Histogram, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.common import collector
from services.common.connections import Impatient, allow_many

log = structlog.get_logger()

_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_OPERATIONS: Final = frozenset({"/healthz", "/readyz", "/metrics"})
_SECONDS: Final = Histogram(
    "rufkette_request_seconds",
    "Time from the request's arrival to the end of the answer.",
    ("method", "route", "status"),
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)


@dataclass(frozen=True, slots=True)
class Readiness:
    """The answer of `/readyz`: 200 when `ready`, else 503; `problems` names what is away, without secrets."""

    ready: bool
    status: str = "ok"
    problems: Mapping[str, str] = field(default_factory=dict)


def access_log(app: ASGIApp) -> ASGIApp:
    """Log `request.handled` and time every request, by route template: a path may hold a link's token.

    Requests for health and metrics are timed but not logged.
    """

    async def handle(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        status = 500
        started = time.perf_counter()

        async def observe(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await app(scope, receive, observe)
        finally:
            took = time.perf_counter() - started
            route = getattr(scope.get("route"), "path", "unknown")
            method = scope["method"] if scope["method"] in _METHODS else "other"
            _SECONDS.labels(method, route, str(status)).observe(took)
            if route not in _OPERATIONS:
                log.info("request.handled", method=method, route=route, status=status, duration_ms=round(took * 1e3, 1))

    return handle


def _healthy() -> str | None:
    return None


def add_operations_routes(
    app: FastAPI, readiness: Callable[[], Awaitable[Readiness]], stuck: Callable[[], str | None] = _healthy
) -> None:
    """`/healthz` (no restart is needed), `/readyz` (it can do its work) and `/metrics` (Prometheus).

    `stuck` names what only a restart would free.
    """

    @app.get("/healthz", tags=["operations"], summary="Whether the process answers")
    async def healthz() -> JSONResponse:
        what = stuck()
        body = {"status": "ok"} if what is None else {"status": "stuck", "problem": what}
        return JSONResponse(body, status_code=200 if what is None else 503)

    @app.get("/readyz", tags=["operations"], summary="Whether the service can do its work")
    async def readyz() -> JSONResponse:
        state = await readiness()
        body: dict[str, object] = {"status": state.status}
        if state.problems:
            body["problems"] = dict(state.problems)
        return JSONResponse(body, status_code=200 if state.ready else 503)

    @app.get("/metrics", tags=["operations"], summary="Metrics for Prometheus", response_class=Response)
    async def metrics() -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


def _listen(host: str, port: int) -> socket.socket:
    """A listening socket.

    Raises:
        SystemExit: with code 2, after one line on stderr that says why not.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        taken = error.errno == errno.EADDRINUSE
        reason = "another program uses it" if taken else (error.strerror or type(error).__name__)
        sys.stderr.write(f"cannot listen on {host} port {port}: {reason}\n")
        raise SystemExit(2) from None
    return listener


def serve(app: FastAPI, *, host: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT; requests in hand get 5 s. Returns after the app's lifespan has ended.

    Raises:
        SystemExit: 2 when the port cannot be used, 3 when the app's lifespan failed to start.
    """
    listener = _listen(host, port)
    config = uvicorn.Config(
        access_log(app),
        loop="uvloop",
        http=Impatient,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=5,
    )
    server = uvicorn.Server(config)

    def stop(_: int, __: FrameType | None) -> None:
        server.should_exit = True

    # uvicorn hands a signal on to the handler that it found, once it has stopped: with the default one the
    # process would look killed after an orderly stop.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    collector.calm()
    allow_many()
    try:
        server.run(sockets=[listener])
    finally:
        listener.close()
    if not server.started:
        raise SystemExit(3)
