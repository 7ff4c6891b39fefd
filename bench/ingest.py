"""Durable presses per second of ingest, beside a bare endpoint that awaits the same Kafka send."""

import asyncio
import contextlib
import json
import os
import statistics
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from bench.http_client import HttpError
from bench.systems import KEY, rufkette_configuration
from services.embedded.jars import ensure_jars
from services.embedded.kafka import Kafka
from services.embedded.process import Part, free_port
from services.embedded.topics import set_up_topics, topic_settings

CONCURRENCY = 64
TARGET = 0.7
"""The least of the bare endpoint's presses per second that ingest takes."""
_PRESSES_OF_WARM_UP = 500


def run(rounds: int, presses: int) -> dict[str, Any]:
    """Both in turns, each time as new processes: what waits in ingest for alerting, which does not run, stays small."""
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rufkette-bench-")))
        configuration = directory / "rufkette.yaml"
        configuration.write_text(yaml.safe_dump(rufkette_configuration()))
        port = stack.enter_context(_kafka(directory))
        found: list[dict[str, float]] = []
        for number in range(1, rounds + 1):
            with _bare(directory, port) as bare:
                theirs = _measure(bare, presses)
            with _ingest(directory, port, configuration) as ingest:
                ours = _measure(ingest, presses)
            found.append({"ingest": round(ours), "bare": round(theirs), "ratio": round(ours / theirs, 2)})
            print(f"round {number}  ingest {ours:6.0f}/s   bare endpoint {theirs:6.0f}/s   ratio {ours / theirs:.2f}")
    median = {key: statistics.median(one[key] for one in found) for key in ("ingest", "bare", "ratio")}
    reached = "reached" if median["ratio"] >= TARGET else "MISSED"
    print(f"target ≥ {TARGET} × the bare endpoint, concurrency {CONCURRENCY}: {reached} ({median['ratio']:.2f})")
    return {"cores": os.cpu_count(), "presses": presses, "rounds": found, "median": median, "target": TARGET}


@contextlib.contextmanager
def _kafka(directory: Path) -> Iterator[int]:
    """Durable, as `rufkette run` starts it."""
    kafka = Kafka(directory / "kafka", ensure_jars(), free_port())
    kafka.prepare()
    part = kafka.start()
    try:
        part.wait_until(kafka.ready, timeout=60)
        set_up_topics(topic_settings(kafka.port), embedded=True)
        yield kafka.port
    finally:
        part.stop(30)


@contextlib.contextmanager
def _bare(directory: Path, kafka_port: int) -> Iterator[int]:
    port = free_port()
    command = [sys.executable, "-m", "bench.bare", f"127.0.0.1:{kafka_port}", str(port)]
    with _started("bare endpoint", command, port, directory / "bare.log", {}):
        yield port


@contextlib.contextmanager
def _ingest(directory: Path, kafka_port: int, configuration: Path) -> Iterator[int]:
    port = free_port()
    settings = {
        "RUFKETTE_CONFIG": str(configuration),
        "RUFKETTE_KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{kafka_port}",
        "RUFKETTE_INGEST_PORT": str(port),
        "RUFKETTE_JOURNAL_PATH": str(directory / f"journal-{port}.sqlite3"),
        # No alerting runs beside it, and the watch is not what is measured.
        "RUFKETTE_SMTP_URL": "smtp://127.0.0.1:9?starttls=off",
        "RUFKETTE_MAIL_FROM": "rufkette@example.org",
        "RUFKETTE_WATCH_AFTER": "3600",
        "RUFKETTE_LOG_FORMAT": "json",
    }
    command = [sys.executable, "-m", "services.cli", "ingest"]
    with _started("ingest", command, port, directory / "ingest.log", settings):
        yield port


@contextlib.contextmanager
def _started(name: str, command: list[str], port: int, log: Path, settings: dict[str, str]) -> Iterator[None]:
    clean = {key: value for key, value in os.environ.items() if not key.startswith("RUFKETTE_")}
    part = Part.start(name, command, log=log, env=clean | settings)
    try:
        part.wait_until(lambda: _is_ready(port), timeout=30)
        yield
    finally:
        part.stop(10)


def _is_ready(port: int) -> bool:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://127.0.0.1:{port}/readyz", timeout=2) as answer:
            return bool(json.load(answer)["status"] == "ok")
    except (urllib.error.URLError, OSError):
        return False


def _measure(port: int, presses: int) -> float:
    """Presses per second, after a warm-up.

    Raises:
        HttpError: an answer is not 202.
    """
    asyncio.run(_press_all(port, _PRESSES_OF_WARM_UP))
    started = time.perf_counter()
    asyncio.run(_press_all(port, presses))
    return presses / (time.perf_counter() - started)


async def _press_all(port: int, presses: int) -> None:
    rooms = iter(range(presses))
    async with asyncio.TaskGroup() as group:
        for _ in range(CONCURRENCY):
            group.create_task(_press_some(port, rooms))


async def _press_some(port: int, rooms: Iterator[int]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    head = f"POST /v1/incidents HTTP/1.1\r\nHost: ingest\r\nAuthorization: Bearer {KEY}\r\n"
    for room in rooms:
        body = json.dumps({"site": "bernburg", "location": f"R{room}", "danger_level": 2, "category": "threat"})
        writer.write(f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())
        answer = await reader.readuntil(b"\r\n\r\n")
        if b" 202 " not in answer[:20]:
            raise HttpError(answer.splitlines()[0].decode())
        length = next(line for line in answer.lower().splitlines() if line.startswith(b"content-length:"))
        await reader.readexactly(int(length.split(b":")[1]))
    writer.close()
