"""The two systems that are measured, each started as its users start it, delivering to the same mail server."""

import contextlib
import hashlib
import json
import os
import shutil
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

import yaml

from bench.http_client import HttpClient
from services.embedded.data import DataDirectory
from services.embedded.ports import free_port
from services.embedded.process import Part

KEY = "rk_a-key-for-the-benchmark-only"
_RECIPIENT = "wache@example.org"


class MissingProgramError(Exception):
    """The other system is not installed; the message says how to get it."""


class System(Protocol):
    """Something that makes a mail of a press."""

    name: str
    log: Path
    client: HttpClient

    def press(self, room: str) -> str:
        """Raise an alarm in a room; returns, when it was taken, the id that the log names it by."""

    def body(self, room: str, level: int = 2) -> bytes:
        """What is posted for it."""


@dataclass(slots=True)
class Rufkette:
    """`rufkette run` with its defaults: everything that is acknowledged is on disk."""

    name: str
    log: Path
    client: HttpClient

    def press(self, room: str) -> str:
        return str(json.loads(self.client.post(self.body(room)))["event_id"])

    def body(self, room: str, level: int = 2) -> bytes:
        return json.dumps({"site": "bernburg", "location": room, "danger_level": level, "category": "threat"}).encode()

    def log_times(self) -> dict[str, dict[str, tuple[float, float]]]:
        """Per event name and event id: when it was logged (seconds since the epoch), and `duration_ms` if any."""
        times: dict[str, dict[str, tuple[float, float]]] = {"report.accepted": {}, "incident.opened": {}}
        times["mail.accepted"] = {}
        for line in self.log.read_text().splitlines():
            if any(f'"event":"{name}"' in line for name in times):
                record: dict[str, Any] = json.loads(line)
                # An incident's id is the id of the event that opened it.
                about = record.get("event_id") or record["incident_id"]
                at = datetime.fromisoformat(record["timestamp"]).timestamp()
                times[record["event"]][about] = (at, record.get("duration_ms", 0.0))
        return times


@dataclass(slots=True)
class Alertmanager:
    """Prometheus Alertmanager, alone, with one group an alert and no wait."""

    name: str
    log: Path
    client: HttpClient

    def press(self, room: str) -> str:
        self.client.post(self.body(room))
        return room

    def body(self, room: str, level: int = 2) -> bytes:
        labels = {"alertname": "Alarm", "site": "bernburg", "room": room, "danger_level": str(level)}
        return json.dumps([{"labels": labels | {"category": "threat"}}]).encode()


def rufkette_client(port: int) -> HttpClient:
    """A connection to ingest, with the key of the benchmark's buttons."""
    return HttpClient(port, "/v1/incidents", (f"Authorization: Bearer {KEY}",))


@contextlib.contextmanager
def rufkette(directory: Path, smtp_port: int) -> Iterator[Rufkette]:
    """The stack, until the end of the block. Logs and data stay in the directory."""
    configuration = directory / "rufkette.yaml"
    configuration.write_text(yaml.safe_dump(rufkette_configuration()))
    data, log = DataDirectory(directory / "data"), directory / "rufkette.log"
    port = free_port()
    ours = {
        "RUFKETTE_SMTP_URL": f"smtp://127.0.0.1:{smtp_port}?starttls=off",
        "RUFKETTE_INGEST_PORT": str(port),
        "RUFKETTE_ALERTING_PORT": str(free_port()),
        "RUFKETTE_LOG_FORMAT": "json",
    }
    clean = {name: value for name, value in os.environ.items() if not name.startswith("RUFKETTE_")}
    options = ["--data-dir", str(data.root), "--config", str(configuration)]
    part = Part.start("rufkette", [sys.executable, "-m", "services.cli", "run", *options], log=log, env=clean | ours)
    try:
        # Written when everything is ready. Kafka's jars may have to be downloaded first.
        part.wait_until(data.addresses.exists, timeout=300)
        client = rufkette_client(port)
        yield Rufkette("rufkette", log, client)
        client.close()
    finally:
        part.stop(30)


@contextlib.contextmanager
def alertmanager(directory: Path, smtp_port: int) -> Iterator[Alertmanager]:
    """The process, until the end of the block.

    Raises:
        MissingProgramError: it is not installed.
    """
    program = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
    if program is None:
        raise MissingProgramError(
            "Prometheus Alertmanager is not installed; on Debian and Ubuntu: apt-get install prometheus-alertmanager"
        )
    configuration = directory / "alertmanager.yml"
    configuration.write_text(yaml.safe_dump(_alertmanager_configuration(smtp_port)))
    port = free_port()
    command = [
        program,
        f"--config.file={configuration}",
        f"--storage.path={directory / 'alertmanager'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
    ]
    log = directory / "alertmanager.log"
    part = Part.start("Alertmanager", command, log=log)
    try:
        part.wait_until(lambda: _answers(f"http://127.0.0.1:{port}/-/ready"), timeout=30)
        client = HttpClient(port, "/api/v2/alerts")
        yield Alertmanager("alertmanager", log, client)
        client.close()
    finally:
        part.stop()


def rufkette_configuration() -> dict[str, Any]:
    """One site, one recipient, no second step within the time of a run."""
    steps = [{"after": "0s", "tell": ["house_security"]}]
    return {
        "organisation": {"name": "Benchmark", "holidays": "DE-ST", "emergency": ["bereitschaft@example.org"]},
        "sites": {"bernburg": {"name": "Bernburg", "people": {"house_security": [_RECIPIENT]}}},
        "sources": {
            "buttons": {
                "type": "native", "kind": "panic", "key_sha256": hashlib.sha256(KEY.encode()).hexdigest(),
            }
        },
        "rules": [{"name": "everything", "police": "advised", "policy": "once"}],
        "policies": {"once": {"steps": steps, "repeat": "10h"}},
    }  # fmt: skip


def _alertmanager_configuration(smtp_port: int) -> dict[str, Any]:
    mail = {"to": _RECIPIENT, "send_resolved": False, "headers": {"Subject": "ALARM {{ .CommonLabels.room }}"}}
    return {
        "global": {
            "smtp_smarthost": f"127.0.0.1:{smtp_port}",
            "smtp_from": "alertmanager@example.org",
            "smtp_require_tls": False,
        },
        "route": {"receiver": "mail", "group_by": ["..."], "group_wait": "0s", "repeat_interval": "10h"},
        "receivers": [{"name": "mail", "email_configs": [mail]}],
    }


def _answers(url: str) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=2) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, OSError):
        return False
