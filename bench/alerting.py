"""Events per second of alerting into PostgreSQL, beside a bare loop that writes the same rows."""

import asyncio
import contextlib
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import asyncpg

from bench import made_up, parts
from bench.sink import Sink
from schemas import codec, topics
from services.alerting.migrations.apply import migrate
from services.common import kafka
from services.common.settings import Settings
from services.embedded.ports import free_port
from services.embedded.postgres import Postgres

TARGET: Final = 0.5
"""The least of the bare loop's events per second that alerting takes."""
_WITHIN: Final = 300.0
_LOOK_EVERY: Final = 0.02


def run(rounds: int, events: int) -> dict[str, Any]:
    """The same records, read again from their beginning into a new database each time, in turns.

    Alerting sends the mails about them meanwhile; the bare loop sends none.
    """
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="rufkette-bench-")))
        sink = stack.enter_context(Sink(gather=0.05))
        sink.ignore_mails()
        servers = stack.enter_context(parts.kafka(directory))
        postgres = stack.enter_context(parts.postgres(directory))
        asyncio.run(_publish(servers, events))
        configuration = parts.write_configuration(directory, made_up.configuration())
        found: list[dict[str, float]] = []
        for number in range(1, rounds + 1):
            url = new_database(postgres)
            with _bare(directory, servers, url, configuration):
                theirs = asyncio.run(_rate(url, events))
            url = new_database(postgres)
            alerting = parts.alerting(directory, configuration, servers, url, sink.port)
            alerting.start()
            try:
                ours = asyncio.run(_rate(url, events))
            finally:
                alerting.part.stop(10)
            found.append({"alerting": round(ours), "bare": round(theirs), "ratio": round(ours / theirs, 2)})
            print(
                f"round {number}  alerting {ours:6.0f}/s   bare loop {theirs:6.0f}/s   ratio {ours / theirs:.2f}"
                f"   (load {os.getloadavg()[0]:.1f})",
                flush=True,
            )
    median = {key: statistics.median(one[key] for one in found) for key in ("alerting", "bare", "ratio")}
    reached = "reached" if median["ratio"] >= TARGET else "MISSED"
    print(f"target ≥ {TARGET} × the bare loop: {reached} ({median['ratio']:.2f})")
    return {"cores": os.cpu_count(), "events": events, "rounds": found, "median": median, "target": TARGET}


async def _publish(servers: str, events: int) -> None:
    settings = Settings(config=Path("unused"), kafka_bootstrap_servers=servers)
    now = datetime.now(UTC)
    async with kafka.producer(settings) as producer:
        for number in range(events):
            record = codec.encode(made_up.report(number, "1", now))
            await producer.send(topics.EVENTS, value=record.value, key=record.key, headers=list(record.headers))


def new_database(postgres: Postgres) -> str:
    """A new one."""
    name = f"bench_{time.monotonic_ns()}"
    postgres.ensure_database(name)
    migrate(postgres.url(name))
    return postgres.url(name)


@contextlib.contextmanager
def _bare(directory: Path, servers: str, url: str, configuration: Path) -> Iterator[None]:
    arguments = ["bench.bare_loop", servers, url, str(configuration)]
    program = parts.Program("bare loop", arguments, directory / "bare-loop.log", {}, free_port())
    program.start()
    try:
        yield
    finally:
        program.part.stop(10)


async def _rate(url: str, events: int) -> float:
    """Events per second, from the first position that is seen to move until the last one.

    Raises:
        TimeoutError: they were not all written in time.
    """
    connection = await asyncpg.connect(url)
    try:
        async with asyncio.timeout(_WITHIN):
            first, since = 0, 0.0
            while True:
                done = int(await connection.fetchval("SELECT coalesce(sum(next_offset), 0) FROM partitions"))
                if done and not first:
                    first, since = done, time.perf_counter()
                if done >= events:
                    return (done - first) / (time.perf_counter() - since)
                await asyncio.sleep(_LOOK_EVERY)
    finally:
        await connection.close()
