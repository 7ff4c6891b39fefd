"""What only a restart frees ends ingest, with a clear last line; whatever is away does not."""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from services.common.settings import IngestSettings
from services.common.watchdog import EXIT_CODE, LOOP_STUCK, Watchdog
from services.embedded.process import Part
from services.ingest.app import app_for
from services.ingest.follower import ROUND_WITHIN
from tests.ingest.support import configuration
from tests.ingest.test_process import post
from tests.support.chain import Surroundings, ingest_service
from tests.support.service import Service
from tests.support.waiting import eventually

LOOPS = {
    "watchdog", "publisher", "forwarder", "lifecycle", "watch",
    "looking at a mail server: normal", "looking at a mail server: fallback",
}  # fmt: skip


def settings(path: Path, *, kafka: str, smtp_url: str) -> IngestSettings:
    return IngestSettings(
        config=Path("unused"), kafka_bootstrap_servers=kafka, journal_path=path / "journal.sqlite3",
        smtp_url=SecretStr(smtp_url), smtp_fallback_url=SecretStr(smtp_url), mail_from="rufkette@example.org",
    )  # fmt: skip


@asynccontextmanager
async def silent_server() -> AsyncIterator[str]:
    """Its address: whoever connects is let in, and never hears anything."""
    over = asyncio.Event()

    async def listen(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await over.wait()
        writer.close()

    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    try:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        over.set()
        server.close()
        await server.wait_closed()


@pytest.mark.parametrize("what", ["loop", "event loop"])
async def test_what_hangs_ends_the_process(
    surroundings: Surroundings, services: list[Service], tmp_path: Path, what: str
) -> None:
    service = ingest_service(surroundings)
    services.append(service)
    hang = tmp_path / "hang"
    clean = {key: value for key, value in os.environ.items() if not key.startswith("RUFKETTE_")}
    environment = clean | dict(service.environment) | {"HANG": str(hang)}
    command = [sys.executable, "-m", "tests.support.hanging_ingest"]
    service._part = Part.start("ingest", command, log=service.log_file, env=environment)
    await service.wait_ready()
    assert (await post(service, {"site": "bernburg"})).status_code == 202
    hang.write_text(what)
    assert await service.wait_for_exit(timeout=60) == EXIT_CODE
    last = service.logs[-1]
    assert (last["event"], last["level"]) == ("process.stuck", "critical")
    assert last["what"] == ("loop publisher" if what == "loop" else "event loop")
    await service.start()
    assert service.events("journal.loaded")[-1]["entries"] == 1


async def test_healthz_asks_for_a_restart_only_then(tmp_path: Path) -> None:
    watchdog = Watchdog(limits={"watch": 0.0})
    app = app_for(settings(tmp_path, kafka="127.0.0.1:9", smtp_url="smtp://127.0.0.1:9"), configuration(), watchdog)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://ingest") as client:
        answer = await client.get("/healthz")
        assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
        assert (await client.get("/readyz")).status_code == 503
        watchdog.pulses["watch"] = time.monotonic() - 1
        answer = await client.get("/healthz")
        assert (answer.status_code, answer.json()) == (503, {"status": "stuck", "problem": "loop watch"})


async def test_every_loop_goes_round_while_nothing_answers(tmp_path: Path) -> None:
    """Neither Kafka nor a mail server, nor is there a journal; and whatever that takes, it is less than is borne."""
    (tmp_path / "file").touch()
    ended: list[int] = []
    watchdog = Watchdog(limits={"lifecycle": ROUND_WITHIN}, end=ended.append)

    async def pulses() -> dict[str, float]:
        return dict(watchdog.pulses)

    async with silent_server() as address:
        given = settings(tmp_path / "file", kafka=address, smtp_url=f"smtp://{address}?starttls=off")
        app = app_for(given, configuration(), watchdog)
        async with app.router.lifespan_context(app):
            await eventually(pulses, lambda found: set(found) == LOOPS)
            for _ in range(2):
                since = time.monotonic()
                await eventually(pulses, lambda found: all(at > since for at in found.values()), within=LOOP_STUCK - 5)  # noqa: B023 – awaited here
    assert ended == []
