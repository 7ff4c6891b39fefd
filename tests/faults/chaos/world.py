"""Two ingests and two alertings on servers and network links that can be taken away, with a supervisor beside them."""

import asyncio
import contextlib
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from services.embedded.process import free_port
from tests.faults.chaos.network import Link
from tests.support.chain import MAIL_FROM, Surroundings, alerting_service, ingest_service
from tests.support.organisation import write_configuration
from tests.support.servers import KafkaServer, PostgresServer, fresh_topics
from tests.support.service import Service
from tests.support.smtp_sink import Received, SmtpSink

WATCH_AFTER = 5
_SUPERVISE_EVERY = 0.2


def _organisation(content: dict[str, Any]) -> None:
    """Two steps, then repeats, all within seconds; what nobody takes over stays loud for the whole run."""
    content["policies"] = {
        "urgent": {
            "steps": [{"after": "0s", "tell": ["site_management"]}, {"after": "4s", "tell": ["deputy"]}],
            "repeat": "15s",
            "acknowledged_for": "30m",
        }
    }
    content["rules"] = [{"name": "everything", "police": "advised", "policy": "urgent"}]


@dataclass(slots=True)
class World:
    """`relay` is the mail server of alerting, `fallback` the other one, which no fault touches."""

    kafka: KafkaServer
    postgres: PostgresServer
    relay: SmtpSink
    fallback: SmtpSink
    links: dict[str, Link]
    ingests: list[Service]
    alertings: list[Service]
    around: Surroundings
    database_url: str
    down_on_purpose: set[int] = field(default_factory=set)
    """Ports of services that a fault has taken away and will bring back."""
    ended: list[str] = field(default_factory=list)
    """Services that ended by themselves and were started again by the supervisor, with their exit codes."""

    @property
    def services(self) -> list[Service]:
        """Every service process."""
        return self.ingests + self.alertings

    @property
    def accepted(self) -> list[Received]:
        """Every mail that either server took, oldest first."""
        return sorted(self.relay.accepted + self.fallback.accepted, key=lambda mail: mail.at)

    async def supervise(self) -> None:
        """Start again what ended by itself, as systemd or compose would."""
        while True:
            for service in self.services:
                if not service.running and service.port not in self.down_on_purpose:
                    self.ended.append(f"{service.name} ended with {service.exit_code}")
                    service.spawn()
            await asyncio.sleep(_SUPERVISE_EVERY)

    async def all_ready(self) -> None:
        """Wait until every service says that it has all it needs."""
        for service in self.services:
            await service.wait_ready(60)


@asynccontextmanager
async def world(directory: Path) -> AsyncIterator[World]:
    """Everything started and ready; stopped at the end, whatever happened."""
    loop = asyncio.get_running_loop()
    # PostgreSQL runs as another user where we are root, so its directory must be one that it may enter.
    databases = Path(tempfile.mkdtemp(prefix="rufkette-chaos-"))
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(shutil.rmtree, databases, ignore_errors=True)
        doors = [(free_port(), Link(0)) for _ in range(2)]
        for door, link in doors:
            link.target = door
        kafka = KafkaServer(directory / "kafka", tuple((door, link.port) for door, link in doors))
        postgres = PostgresServer(databases / "postgres")
        stack.callback(postgres.stop)
        stack.callback(kafka.kill)
        await asyncio.gather(
            loop.run_in_executor(None, kafka.kafka.prepare), loop.run_in_executor(None, postgres.postgres.prepare)
        )
        kafka.launch()
        postgres.launch()
        await loop.run_in_executor(None, kafka.wait)
        await loop.run_in_executor(None, postgres.wait)
        relay, fallback = SmtpSink(), SmtpSink()
        links = {
            "ingest to Kafka": doors[0][1],
            "alerting to Kafka": doors[1][1],
            "alerting to PostgreSQL": Link(postgres.postgres.port),
            "alerting to its mail server": Link(relay.port),
        }
        servers: list[SmtpSink | Link] = [relay, fallback, *links.values()]
        for server in servers:
            await server.start()
            stack.push_async_callback(server.stop)
        prefix = await fresh_topics(kafka.bootstrap_servers)
        configuration = write_configuration(directory / "config.yaml", _organisation)
        name = await loop.run_in_executor(None, postgres.create_database)
        made = _world(directory, configuration, prefix, postgres.url(name), kafka, postgres, relay, fallback, links)
        for service in made.services:
            stack.callback(service.kill)
            service.spawn()
        await made.all_ready()
        supervisor = asyncio.create_task(made.supervise())
        stack.callback(supervisor.cancel)
        yield made


def _world(
    directory: Path,
    configuration: Path,
    prefix: str,
    database_url: str,
    kafka: KafkaServer,
    postgres: PostgresServer,
    relay: SmtpSink,
    fallback: SmtpSink,
    links: dict[str, Link],
) -> World:
    def behind(link: str) -> Surroundings:
        return Surroundings(f"127.0.0.1:{links[link].port}", prefix, configuration, directory)

    through = database_url.replace(f":{postgres.postgres.port}/", f":{links['alerting to PostgreSQL'].port}/")
    mail = {
        "RUFKETTE_SMTP_URL": f"smtp://127.0.0.1:{links['alerting to its mail server'].port}?starttls=off",
        "RUFKETTE_SMTP_FALLBACK_URL": fallback.url,
        "RUFKETTE_MAIL_FROM": MAIL_FROM,
    }
    ingests = [
        ingest_service(
            behind("ingest to Kafka"), **mail, RUFKETTE_WATCH_AFTER=str(WATCH_AFTER),
            RUFKETTE_JOURNAL_PATH=str(directory / f"journal-{number}.sqlite3"),
        )
        for number in (1, 2)
    ]  # fmt: skip
    alertings = [
        alerting_service(behind("alerting to Kafka"), through, mail["RUFKETTE_SMTP_URL"], **mail) for _ in range(2)
    ]
    around = Surroundings(kafka.bootstrap_servers, prefix, configuration, directory)
    return World(kafka, postgres, relay, fallback, links, ingests, alertings, around, database_url)
