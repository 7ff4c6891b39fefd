"""Wires ingest together, and runs it until it is told to stop."""

import copy
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import structlog
import uvicorn
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response

from schemas.configuration import Configuration
from services.common import collector, telemetry
from services.common.configuration.file import ConfigurationError, load
from services.common.connections import allow_many
from services.common.reload import Reloading, counts, hold_sighup
from services.common.settings import IngestSettings, unknown_variables
from services.common.watchdog import Watchdog
from services.ingest.activity import Activity
from services.ingest.api import docs, openapi
from services.ingest.api.http import Routes
from services.ingest.api.plain_route import PlainApp, PlainRoute
from services.ingest.api.protocol import Protocol
from services.ingest.callbacks.answering import Callbacks
from services.ingest.callbacks.request import called
from services.ingest.follower import LOOP, ROUND_WITHIN, Follower
from services.ingest.instance import Instance
from services.ingest.intake import Intake
from services.ingest.journal.journal import Journal
from services.ingest.journal.ledger import Ledger
from services.ingest.kafka_writer import KafkaWriter
from services.ingest.learning import Learning
from services.ingest.lifesign import Lifesign
from services.ingest.limits import Limits
from services.ingest.loops import Crashes, guarded_by
from services.ingest.publisher import Publisher
from services.ingest.report_body import EXPECTED
from services.ingest.sender import senders
from services.ingest.status import Statuses
from services.ingest.subscriptions import Subscriptions
from services.ingest.watch.relays import Relays
from services.ingest.watch.watch import Watch

log = structlog.get_logger()

_BACKLOG = 2048
_STOP_WITHIN = 5


def app_for(settings: IngestSettings, configuration: Configuration, watchdog: Watchdog | None = None) -> FastAPI:
    """The application; Kafka is first needed when it is started. With a watchdog it ends when only a restart helps."""
    ledger = Ledger(Journal(settings.journal_path))
    statuses = Statuses(ledger)
    callbacks = Callbacks(
        settings.journal_path.with_name(f"{settings.journal_path.name}.callbacks"),
        statuses, called(configuration, settings.config),
    )  # fmt: skip
    ledger.on_held = callbacks.note
    follower = Follower(settings, statuses, ledger, callbacks)
    writer = KafkaWriter(settings)
    publisher = Publisher(writer, ledger, is_taken=statuses.is_taken, caught_up=follower.caught_up.is_set)
    relays = Relays(settings)
    lifesign = Lifesign(settings, writer, ledger)
    follower.on_probed = lifesign.returned
    watch = Watch(settings, configuration, ledger, publish=publisher.publish, caught_up=follower.caught_up)
    known_at_start = senders(configuration, settings.config)
    activity = Activity()
    intake = Intake(publisher, statuses, activity, Limits())
    subscriptions = Subscriptions(known_at_start, intake.receive, Instance(settings.journal_path))
    stuck = watchdog.stuck if watchdog is not None else lambda: None
    pulses = watchdog.pulses if watchdog is not None else None
    routes = Routes(publisher, statuses, intake, activity, lambda: subscriptions.problems, stuck)
    routes.take(known_at_start, configuration.organisation.operator_key_sha256)
    learning = Learning(known_at_start)

    def take(reloaded: Configuration) -> None:
        known, answering = senders(reloaded, settings.config), called(reloaded, settings.config)
        routes.take(known, reloaded.organisation.operator_key_sha256)
        subscriptions.take(known)
        learning.take(known)
        callbacks.take(answering)
        watch.take(reloaded)

    reloading = Reloading(settings.config, take)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        reloading.listen()
        await ledger.start()
        await publisher.start(pulses)
        await follower.start(pulses)
        await watch.start(pulses)
        callbacks.start(follower.caught_up)
        subscriptions.start()
        lifesign.start()
        relays.start(pulses)
        learning.start()
        async with guarded_by(watchdog):  # to the last: also a stop that hangs has an end
            log.info("service.started", host=settings.ingest_host, port=settings.ingest_port)
            yield
            for part in (learning, relays, lifesign, subscriptions, callbacks, watch, follower, publisher, ledger):
                await part.stop()
        log.info("service.stopped")

    app = PlainApp(
        title="Rufkette ingest", version="1", description=openapi.DESCRIPTION, lifespan=lifespan,
        docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False,
    )  # fmt: skip
    app.router.route_class = PlainRoute
    _add_routes(app, routes)
    _add_documents(app)
    return app


def _add_routes(app: FastAPI, routes: Routes) -> None:
    problems = openapi.problems
    app.add_api_route(
        "/v1/incidents", routes.post_incident, methods=["POST"], status_code=202, operation_id="report",
        summary="Report an incident or a press", response_model=openapi.Accepted, openapi_extra=openapi.incident(),
        responses=problems(400, 401, 403, 408, 413, 415, 422, 429, 503),
    )  # fmt: skip
    app.add_api_route(
        "/v1/events", routes.post_events, methods=["POST"], status_code=202, operation_id="events",
        summary="CloudEvents 1.0: structured, binary or a batch", openapi_extra=openapi.events(),
        response_model=openapi.Accepted | openapi.NoReport | list[openapi.Accepted | openapi.NoReport],
        responses=problems(400, 401, 403, 408, 413, 415, 422, 429, 503),
    )  # fmt: skip
    for path, method, name, said in (
        ("/v1/hooks/{source}", "POST", "hook", openapi.hook()),
        ("/v1/hooks/{source}", "GET", "call", openapi.call()),
        ("/v1/hooks/{source}/{device:anything}", "POST", "post-to-device", openapi.call(of_device=True)),
        ("/v1/hooks/{source}/{device:anything}", "GET", "call-device", openapi.call(of_device=True)),
    ):
        app.add_api_route(
            path, routes.hook, methods=[method], status_code=202, operation_id=name,
            summary="A third party's webhook" if name == "hook" else "A button that can only call an address",
            response_model=openapi.Accepted | openapi.NoReport, openapi_extra=said,
            responses=openapi.for_flic() | problems(400, 401, 403, 404, 405, 408, 413, 415, 422, 429, 503),
        )  # fmt: skip
    app.add_api_route(
        "/v1/events/{event_id}", routes.get_event, methods=["GET"], summary="What became of an event",
        operation_id="event", response_model=openapi.EventStatus, openapi_extra=openapi.event(),
        responses=problems(401, 404),
    )  # fmt: skip
    app.add_api_route(
        "/v1/sources", routes.get_sources, methods=["GET"], summary="What each source and device did, for operators",
        operation_id="sources", response_model=openapi.Sources, openapi_extra=openapi.keyed(), responses=problems(401),
    )  # fmt: skip
    for path, handler, summary, model in (
        ("/healthz", routes.healthz, "Whether the process works: 503 when only a restart helps", openapi.Health),
        ("/readyz", routes.readyz, "Whether events can be taken in, and what is away", openapi.Readiness),
    ):
        app.add_api_route(
            path, handler, methods=["GET"], summary=summary, operation_id=path[1:], response_model=model,
            responses=openapi.unready() if path == "/readyz" else openapi.stuck(),
        )  # fmt: skip
    app.add_api_route(
        "/metrics", routes.metrics, methods=["GET"], summary="Figures for Prometheus", operation_id="metrics",
        response_model=None, response_class=PlainTextResponse,
    )  # fmt: skip


def _add_documents(app: FastAPI) -> None:
    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            plain = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
            app.openapi_schema = openapi.complete(plain)
        return app.openapi_schema

    async def openapi_json(_: Request) -> Response:
        return JSONResponse(document())

    async def docs_page(_: Request) -> Response:
        return HTMLResponse(docs.page(copy.deepcopy(document()), EXPECTED))

    app.openapi = document  # type: ignore[method-assign]
    app.add_api_route("/openapi.json", openapi_json, methods=["GET"], include_in_schema=False, response_model=None)
    app.add_api_route("/docs", docs_page, methods=["GET"], include_in_schema=False, response_model=None)


def run(settings: IngestSettings) -> None:
    """Serve until SIGTERM or SIGINT; requests in hand are finished first.

    Raises:
        SystemExit: 2 with one clear line when configuration or address cannot be used; 1 after a bug. What only a
            restart frees ends the process with 75, without an exception.
    """
    telemetry.configure(service="ingest", log_format=settings.log_format, log_level=settings.log_level)
    hold_sighup()
    for name in unknown_variables(os.environ):
        log.warning("setting.unknown", setting=name)
    try:
        configuration = load(settings.config)
        app = app_for(settings, configuration, Watchdog(limits={LOOP: ROUND_WITHIN}))
        listener = _listen(settings)
    except (ConfigurationError, OSError) as error:
        sys.stderr.write(f"{error}\n")
        raise SystemExit(2) from None
    log.info("configuration.loaded", **counts(configuration))
    server = uvicorn.Server(
        uvicorn.Config(
            app, loop="uvloop", http=Protocol, ws="none", lifespan="on",
            log_config=None, access_log=False, server_header=False, proxy_headers=False,
            timeout_graceful_shutdown=_STOP_WITHIN,
        )
    )  # fmt: skip
    # uvicorn raises the signal once more after its orderly end; for us that end is a success.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    collector.calm()
    allow_many()
    server.run(sockets=[listener])
    if Crashes.seen or not server.started:
        raise SystemExit(1)


def _listen(settings: IngestSettings) -> socket.socket:
    """A socket on the configured address, taken before anything else is started.

    Raises:
        OSError: naming the setting to change.
    """
    host, port = settings.ingest_host, settings.ingest_port
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise OSError(
            f"RUFKETTE_INGEST_HOST, RUFKETTE_INGEST_PORT: cannot listen on {host}:{port}: {error.strerror}"
        ) from None
