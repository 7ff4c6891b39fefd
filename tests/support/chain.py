"""The whole chain for a test: Kafka, PostgreSQL and mail server given, ingest and alerting as real processes."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from services.embedded.ports import free_port
from tests.support import warm
from tests.support.organisation import KEYS
from tests.support.service import Service
from tests.support.smtp_sink import SmtpSink

SECRET_KEY = "a-secret-key-for-tests-only"
MAIL_FROM = "rufkette@example.org"
MARK = " · Notbetrieb"
"""How the subject of a mail of the watch ends."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What both services are connected to."""

    kafka: str
    topic_prefix: str
    configuration: Path
    directory: Path

    def common(self) -> dict[str, str]:
        """Settings that both services need."""
        return {
            "RUFKETTE_CONFIG": str(self.configuration),
            "RUFKETTE_KAFKA_BOOTSTRAP_SERVERS": self.kafka,
            "RUFKETTE_TOPIC_PREFIX": self.topic_prefix,
            "RUFKETTE_LOG_FORMAT": "json",
            "RUFKETTE_LOG_LEVEL": "debug",
        }


def ingest_service(around: Surroundings, smtp_url: str | None = None, **environment: str) -> Service:
    """Ingest on a free port, not started; with a mail server its watch is as in real life."""
    port = free_port()
    # Without alerting every press is unheard: what is tested of ingest alone is not to meet the watch.
    alone = {"RUFKETTE_SMTP_URL": "smtp://127.0.0.1:9?starttls=off", "RUFKETTE_WATCH_AFTER": "3600"}
    settings = around.common() | {
        "RUFKETTE_INGEST_PORT": str(port),
        "RUFKETTE_JOURNAL_PATH": str(around.directory / f"journal-{port}.sqlite3"),
        "RUFKETTE_MAIL_FROM": MAIL_FROM,
        **(alone if smtp_url is None else {"RUFKETTE_SMTP_URL": smtp_url}),
    }
    return Service("ingest", port, settings | environment, around.directory)


def alerting_service(around: Surroundings, database_url: str, smtp_url: str, **environment: str) -> Service:
    """Alerting on a free port, not started."""
    port = free_port()
    settings = around.common() | {
        "RUFKETTE_DATABASE_URL": database_url,
        "RUFKETTE_SMTP_URL": smtp_url,
        "RUFKETTE_MAIL_FROM": MAIL_FROM,
        "RUFKETTE_ALERTING_PORT": str(port),
        "RUFKETTE_PUBLIC_URL": f"http://127.0.0.1:{port}",
        "RUFKETTE_SECRET_KEY": SECRET_KEY,
    }
    return Service("alerting", port, settings | environment, around.directory)


@dataclass(slots=True)
class Chain:
    """Ingest and alerting with what they are connected to."""

    ingest: Service
    alerting: Service
    sink: SmtpSink
    around: Surroundings
    database_url: str
    may_be_unheard: bool = False
    """Whether the test lets presses be unheard for so long that the watch mails."""

    def assert_no_emergency(self) -> None:
        """No press was unheard for so long that the watch mailed, unless the test let it."""
        found = [mail.subject for mail in self.sink.received if mail.subject.endswith(MARK)]
        assert self.may_be_unheard or found == []

    def rufkette(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """A command of the command line, on the chain's database."""
        environment = {"RUFKETTE_DATABASE_URL": self.database_url, "RUFKETTE_CONFIG": str(self.around.configuration)}
        return warm.run(*arguments, "--data-dir", self.around.directory, env=os.environ | environment)

    async def press(self, body: dict[str, Any] | None = None, *, source: str = "buttons") -> str:
        """Post a report (by default a level-2 press in Zimmer 112, Bernburg); returns the event id."""
        report = {"site": "bernburg", "location": "Zimmer 112", "danger_level": 2, "category": "threat"}
        answer = await self.post("/v1/incidents", body or report, source=source)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["event_id"])

    async def post(self, path: str, body: Any, *, source: str) -> httpx.Response:
        """Post JSON to ingest with the key of a source."""
        async with httpx.AsyncClient(base_url=self.ingest.url, timeout=10) as client:
            return await client.post(path, json=body, headers={"Authorization": f"Bearer {KEYS[source]}"})
