"""Two ingests and two alertings on servers and network links that can be taken away, with a supervisor beside them."""

import asyncio
import contextlib
import shutil
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from services.embedded.ports import free_port
from tests.faults.chaos.history import watch_sender
from tests.faults.chaos.network import Link
from tests.faults.chaos.timing import WATCH_AFTER
from tests.support.chain import MAIL_FROM, Surroundings, alerting_service, ingest_service
from tests.support.organisation import write_configuration
from tests.support.servers import KafkaServer, PostgresServer, fresh_topics
from tests.support.service import Service
from tests.support.smtp_sink import Received, SmtpSink

_SUPERVISE_EVERY = 0.2


def _organisation(content: dict[str, Any]) -> None:
    """Steps and repeats within seconds; what nobody takes over stays loud for the whole run."""
    first = {"after": "0s", "tell": ["site_management"]}
    both = {"after": "0s", "tell": ["house_security", "site_management"]}
    content["policies"] = {
        "maximal": {"steps": [both, {"after": "4s", "tell": ["on_call"]}], "repeat": "15s"},
        "urgent": {"steps": [first, {"after": "4s", "tell": ["deputy"]}], "repeat": "20s"},
        "normal": {"steps": [first], "repeat": "30s"},
        "notice": {"steps": [first], "repeat": "next_opening"},
    }
    content["rules"] = [
        {"name": "after the event", "when": {"kind": "form", "acute": False}, "policy": "notice"},
        {"name": "weapon", "when": {"danger_level": 3}, "police": "urgent", "policy": "maximal"},
        {"name": "form", "when": {"kind": "form"}, "policy": "normal"},
        {"name": "everything else", "police": "advised", "policy": "urgent"},
    ]


@dataclass(slots=True)
class World:
    """`relay` is the normal mail server, `fallback` the other one."""

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
    ended: list[tuple[str, int, float]] = field(default_factory=list)
    """Services that ended by themselves and were started again by the supervisor, with exit code and time."""

    @property
    def services(self) -> list[Service]:
        """Every service process."""
        return self.ingests + self.alertings

    def name(self, service: Service) -> str:
        """`ingest 0`, as faults call it."""
        of_its_kind = self.ingests if service in self.ingests else self.alertings
        return f"{service.name} {of_its_kind.index(service)}"

    def disk(self, number: int) -> Path:
        """The link to the directory in which the journal of an ingest is, alone."""
        return Path(self.ingests[number].environment["RUFKETTE_JOURNAL_PATH"]).parent

    @property
    def accepted(self) -> list[Received]:
        """Every mail that either server took, oldest first."""
        return sorted(self.relay.accepted + self.fallback.accepted, key=lambda mail: mail.at)

    async def supervise(self) -> None:
        """Start again what ended by itself, as systemd or compose would."""
        while True:
            for service in self.services:
                if not service.running and service.port not in self.down_on_purpose:
                    self.ended.append((self.name(service), service.exit_code or 0, time.monotonic()))
                    service.spawn()
            await asyncio.sleep(_SUPERVISE_EVERY)

    async def end_alerting(self) -> None:
        """As an operator would, and for good."""
        self.down_on_purpose |= {service.port for service in self.alertings}
        loop = asyncio.get_running_loop()
        await asyncio.gather(*(loop.run_in_executor(None, service.stop) for service in self.alertings))

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
            "both to the mail server": Link(relay.port),
            "both to the fallback": Link(fallback.port),
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


def _disk(directory: Path, number: int) -> Path:
    """A directory for one journal, behind a link that a fault can turn elsewhere."""
    there, link = directory / f"disk-{number}.data", directory / f"disk-{number}"
    there.mkdir()
    link.symlink_to(there)
    return link


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
        "RUFKETTE_SMTP_URL": f"smtp://127.0.0.1:{links['both to the mail server'].port}?starttls=off",
        "RUFKETTE_SMTP_FALLBACK_URL": f"smtp://127.0.0.1:{links['both to the fallback'].port}?starttls=off",
        "RUFKETTE_MAIL_FROM": MAIL_FROM,
    }
    ingests = [
        ingest_service(
            behind("ingest to Kafka"), **(mail | {"RUFKETTE_MAIL_FROM": watch_sender(number)}),
            RUFKETTE_WATCH_AFTER=str(WATCH_AFTER),
            RUFKETTE_JOURNAL_PATH=str(_disk(directory, number) / "journal.sqlite3"),
        )
        for number in (0, 1)
    ]  # fmt: skip
    alertings = [
        alerting_service(behind("alerting to Kafka"), through, mail["RUFKETTE_SMTP_URL"], **mail) for _ in range(2)
    ]
    around = Surroundings(kafka.bootstrap_servers, prefix, configuration, directory)
    return World(kafka, postgres, relay, fallback, links, ingests, alertings, around, database_url)
