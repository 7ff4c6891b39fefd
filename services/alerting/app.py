"""Wiring of alerting: what starts, in which order, and how it stops."""

import asyncio
import os
import socket
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog
from fastapi import FastAPI, Request
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.responses import Response

from schemas.configuration import Configuration
from services.alerting.clock import DatabaseClock
from services.alerting.consumer import Consumer
from services.alerting.core.calendar import OfficeCalendar
from services.alerting.core.policy import Rules
from services.alerting.database import create_engine, patiently
from services.alerting.desk.board import Board
from services.alerting.desk.holds import holds_router
from services.alerting.desk.notice import notice
from services.alerting.desk.plans import plans_router
from services.alerting.desk.report_page import report_router
from services.alerting.desk.router import router_for
from services.alerting.desk.tokens import Tokens
from services.alerting.devices.attendance import Attendance
from services.alerting.devices.notices import NoticeMailer
from services.alerting.engine import Engine
from services.alerting.mailer import Mailer
from services.alerting.mailing.letters import Letters
from services.alerting.mailing.troubles import TroubleMailer
from services.alerting.migrations.apply import migrate_async
from services.alerting.plans import planning
from services.alerting.plans.planning import Planning
from services.alerting.reading.probing import ProbeAnswerer
from services.alerting.reading.progress import Progress
from services.alerting.relay import LifecycleRelay
from services.alerting.reporting.reports import Reporting
from services.alerting.retention.holding import Holding
from services.alerting.timers import Timers
from services.alerting.upkeep import housekeeping, waiting_mails
from services.alerting.upkeep.audit import Audit
from services.common import telemetry
from services.common.configuration import file as configuration_file
from services.common.loops import Loop, cancel, run_together
from services.common.mail.route import MailRoute
from services.common.mail.smtp import parse_smtp_url
from services.common.outage import Outage
from services.common.reload import Reloading, counts, hold_sighup
from services.common.settings import AlertingSettings, unknown_variables
from services.common.watchdog import Watchdog
from services.common.web import Readiness, add_operations_routes, serve

log = structlog.get_logger()


def run(settings: AlertingSettings) -> None:
    """`rufkette alerting`: until SIGTERM, or until a bug ends it with a non-zero exit code."""
    telemetry.configure(service="alerting", log_format=settings.log_format, log_level=settings.log_level)
    hold_sighup()
    for name in unknown_variables(os.environ):
        log.warning("setting.unknown", setting=name)
    configuration = configuration_file.load(settings.config)
    log.info("configuration.loaded", **counts(configuration))
    serve(app_for(settings, configuration), host=settings.alerting_host, port=settings.alerting_port)


class Alerting:
    """The parts of one alerting process."""

    def __init__(self, settings: AlertingSettings, configuration: Configuration) -> None:
        self.settings = settings
        self.take(configuration)
        self.reloading = Reloading(settings.config, self.take)
        self.database_url = settings.database_url.get_secret_value()
        self.database: AsyncEngine = create_engine(self.database_url)
        self.apart: AsyncEngine = create_engine(self.database_url, connections=2)
        self.database_outage = Outage("database")
        self.clock = DatabaseClock(self.database, self.database_outage)
        self.engine = Engine(
            self.database,
            lambda: self._rules,
            topic_prefix=settings.topic_prefix,
            clock=self.clock,
            apart=self.apart,
        )
        self.tokens = Tokens(settings.secret_keys)
        self.planning = Planning(self.database, self.engine.plans, self.clock)
        # Unique per process: a zombie of the same host must not pass for its successor.
        owner = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
        self.consumer = Consumer(self.engine, settings, owner, self.database_outage)
        self.relay = LifecycleRelay(self.engine, settings, self.database_outage)
        self.watchdog = Watchdog(limits={"housekeeping": housekeeping.ROUND_WITHIN}, excused=self.something_is_away)
        self.progress = Progress(self.consumer.look_ahead, self.watchdog.condemn, self.database_outage)
        self.timers = Timers(self.engine, self.database_outage)
        self.attendance = Attendance(self.engine, self.database_outage)
        fallback = settings.smtp_fallback_url
        self.route = MailRoute(
            parse_smtp_url(settings.smtp_url.get_secret_value()),
            parse_smtp_url(fallback.get_secret_value()) if fallback else None,
        )
        self.notices = NoticeMailer(self.engine, self.route, settings.mail_from, self.database_outage)
        self.troubles = TroubleMailer(self.engine, self.route, settings.mail_from, self.database_outage)
        self.probes = ProbeAnswerer(self.engine, self.route, settings.mail_from, self.database_outage)
        letters = Letters(self.engine, settings.mail_from, settings.public_url, self.tokens)
        self.mailer = Mailer(self.engine, self.route, letters, self.database_outage)

    def take(self, configuration: Configuration) -> None:
        """Decide by this configuration from now on; incidents that are known keep the policy that they have."""
        self._rules = Rules(configuration, OfficeCalendar(configuration))

    def loops(self) -> dict[str, Loop]:
        """What runs for ever, by name."""
        return {
            "watchdog": self.watchdog.run,
            "clock": self.clock.run,
            "consumer": self.consumer.run,
            "leases": self.consumer.keep_leases,
            "lag": self.consumer.show_lag,
            "progress": self.progress.run,
            "timers": self.timers.run,
            "silences": lambda: planning.run(self.engine, self.database_outage),
            "mail servers": self.route.run,
            "mailer": self.mailer.run,
            "life": self.mailer.show_life,
            "attendance": self.attendance.run,
            "notices": self.notices.run,
            "troubles": self.troubles.run,
            "relay": self.relay.run,
            "probes": self.probes.run,
            "audit": Audit(self.engine, self.database_outage).run,
            "waiting mails": lambda: waiting_mails.run(self.engine, self.database_outage),
            "housekeeping": lambda: housekeeping.run(self.engine, self.database_outage),
        }

    def something_is_away(self) -> bool:
        """Whether Kafka or PostgreSQL is: then no restart helps."""
        return self.database_outage.down is not None or self.consumer.outage.down is not None

    async def readiness(self) -> Readiness:
        """Ready when everything that an alarm needs is there; degraded while one of two mail servers is not."""
        dependencies = (self.database_outage, self.consumer.outage)
        problems: dict[str, str] = {
            outage.what: outage.problem for outage in dependencies if outage.problem is not None
        }
        if self.consumer.breaker.tripped:
            problems["events"] = "most records are unreadable: see breaker.tripped in the runbook"
        mail = self.route.state
        ready = mail.usable and not problems
        problems |= mail.problems
        status = "ok" if not problems else "degraded" if ready else "unavailable"
        return Readiness(ready=ready, status=status, problems=problems)

    async def work(self) -> None:
        """Bring the database up to date, as soon as it is there, then run every loop."""
        await patiently(self.database_outage, lambda: migrate_async(self.database_url))
        await patiently(self.database_outage, self.clock.look)
        await run_together(self.loops(), self.watchdog.pulses)

    async def stop(self) -> None:
        """Give back what others could take over, and close; bounded, because the others may be away."""
        try:
            async with asyncio.timeout(3):
                await self.consumer.release()
        except Exception as error:  # noqa: BLE001 - leases run out by themselves, and nothing may keep us from stopping
            log.debug("client.abandoned", error=type(error).__name__)
        await self.relay.close()
        await self.apart.dispose()
        await self.database.dispose()
        log.info("service.stopped")


def app_for(settings: AlertingSettings, configuration: Configuration) -> FastAPI:
    """The desk with the loops behind it; they live as long as the app's lifespan."""
    alerting = Alerting(settings, configuration)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        alerting.reloading.listen()
        task = asyncio.create_task(alerting.work())
        task.add_done_callback(_end_process_on_crash)
        log.info("service.started", host=settings.alerting_host, port=settings.alerting_port)
        try:
            yield
        finally:
            task.remove_done_callback(_end_process_on_crash)
            await alerting.mailer.finish()
            await cancel({task})
            await alerting.stop()

    app = FastAPI(title="Rufkette alerting", lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None)
    add_operations_routes(app, alerting.readiness, alerting.watchdog.stuck)
    app.include_router(
        router_for(
            Board(alerting.engine),
            alerting.attendance,
            alerting.engine.rules,
            alerting.tokens,
            alerting.clock,
            mails_go=lambda: alerting.route.takes_mails,
        )
    )
    app.include_router(report_router(lambda: Reporting(alerting.database, alerting.engine.rules())))
    app.include_router(plans_router(alerting.planning, alerting.engine.rules, alerting.clock))
    holding = Holding(alerting.database, alerting.clock)
    app.include_router(holds_router(holding, alerting.engine.rules, alerting.clock))

    @app.exception_handler(404)
    async def no_page(_: Request, __: Exception) -> Response:
        return notice(404, "no_page", language=alerting.engine.rules().configuration.organisation.language)

    return app


def _end_process_on_crash(task: asyncio.Task[None]) -> None:
    """A dead loop must not look alive: the process ends and its supervisor starts a new one."""
    if not task.cancelled() and task.exception() is not None:
        log.critical("process.crashed")
        os._exit(70)
