"""The parts of an installation one by one, on free ports, for benchmarks that start and end them singly."""

import contextlib
import json
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from services.common.mail.smtp import CONNECTIONS
from services.embedded.aot_cache import prepared_jars
from services.embedded.kafka import Kafka
from services.embedded.ports import free_port
from services.embedded.postgres import Postgres
from services.embedded.process import Part
from services.embedded.topics import set_up_topics, topic_settings


@contextlib.contextmanager
def kafka(directory: Path) -> Iterator[str]:
    """Durable, as `rufkette run` starts it, with all topics; what clients connect to."""
    server = Kafka(directory / "kafka", prepared_jars(), free_port())
    server.prepare()
    part = server.start()
    try:
        part.wait_until(server.ready, timeout=60)
        set_up_topics(topic_settings(server.port), embedded=True)
        yield server.bootstrap_servers
    finally:
        part.stop(30)


@contextlib.contextmanager
def postgres(directory: Path) -> Iterator[Postgres]:
    """As `rufkette run` starts it, without our database."""
    directory.chmod(0o755)  # PostgreSQL runs as another user when we are root
    server = Postgres(directory / "postgres", free_port())
    server.prepare()
    part = server.start()
    try:
        part.wait_until(server.ready, timeout=60)
        yield server
    finally:
        part.stop(30)


class Program:
    """A process of ours that can be killed and started again; of a service `port` answers `/readyz`."""

    def __init__(self, name: str, command: Sequence[str], log: Path, settings: Mapping[str, str], port: int) -> None:
        self.name = name
        self.log = log
        self.port = port
        self._command = [sys.executable, "-m", *command]
        clean = {key: value for key, value in os.environ.items() if not key.startswith("RUFKETTE_")}
        self._environment = clean | dict(settings)
        self._part: Part | None = None

    @property
    def part(self) -> Part:
        """The process as it was started last."""
        assert self._part is not None
        return self._part

    @property
    def pid(self) -> int:
        return self.part.process.pid

    def start(self) -> None:
        """Start without waiting for anything."""
        self._part = Part.start(self.name, self._command, log=self.log, env=self._environment)

    def wait_until_ready(self) -> None:
        """Raises EmbeddedError when it ends, or is not ready within a minute."""
        self.part.wait_until(lambda: _is_ready(self.port), timeout=60)

    def kill(self) -> None:
        self.part.kill()

    def peak_memory(self) -> float:
        """The most memory that it had so far, in MiB."""
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmHWM:")).split()[1]) / 1024

    @contextlib.contextmanager
    def running(self) -> Iterator["Program"]:
        """Ready, until the end of the block."""
        self.start()
        try:
            self.wait_until_ready()
            yield self
        finally:
            self.part.stop(10)


def write_configuration(directory: Path, configuration: Mapping[str, Any]) -> Path:
    """The file that services are started with."""
    path = directory / "rufkette.yaml"
    path.write_text(yaml.safe_dump(dict(configuration)))
    return path


def ingest(
    directory: Path, configuration: Path, kafka_servers: str, smtp_port: int | None = None, **settings: str
) -> Program:
    """Without a mail server it is measured alone, without alerting: then its watch is to stay out of it."""
    port = free_port()
    alone = {"RUFKETTE_SMTP_URL": "smtp://127.0.0.1:9?starttls=off", "RUFKETTE_WATCH_AFTER": "3600"}
    ours = _common(configuration, kafka_servers) | {
        "RUFKETTE_INGEST_PORT": str(port),
        "RUFKETTE_JOURNAL_PATH": str(directory / f"journal-{port}.sqlite3"),
        **(alone if smtp_port is None else _mail_server(smtp_port)),
    }
    return Program("ingest", ["services.cli", "ingest"], directory / f"ingest-{port}.log", ours | settings, port)


def alerting(
    directory: Path,
    configuration: Path,
    kafka_servers: str,
    database_url: str,
    smtp_port: int,
    *,
    connections: int = CONNECTIONS,
    **settings: str,
) -> Program:
    """Mailing over so many connections."""
    port = free_port()
    ours = _common(configuration, kafka_servers) | {
        "RUFKETTE_ALERTING_PORT": str(port),
        "RUFKETTE_DATABASE_URL": database_url,
        "RUFKETTE_PUBLIC_URL": f"http://127.0.0.1:{port}",
        "RUFKETTE_SECRET_KEY": "a-key-for-the-benchmark-only",
        **_mail_server(smtp_port, connections),
    }
    return Program("alerting", ["services.cli", "alerting"], directory / f"alerting-{port}.log", ours | settings, port)


def _common(configuration: Path, kafka_servers: str) -> dict[str, str]:
    return {
        "RUFKETTE_CONFIG": str(configuration),
        "RUFKETTE_KAFKA_BOOTSTRAP_SERVERS": kafka_servers,
        "RUFKETTE_MAIL_FROM": "rufkette@example.org",
        "RUFKETTE_LOG_FORMAT": "json",
    }


def _mail_server(port: int, connections: int = CONNECTIONS) -> dict[str, str]:
    return {"RUFKETTE_SMTP_URL": f"smtp://127.0.0.1:{port}?starttls=off&connections={connections}"}


def _is_ready(port: int) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://127.0.0.1:{port}/readyz", timeout=2) as answer:
            return bool(json.load(answer)["status"] == "ok")
    except (urllib.error.URLError, OSError):
        return False
