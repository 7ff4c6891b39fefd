"""Every loop of alerting shows that it goes round, else the watchdog would end a process that is well."""

import asyncio
import contextlib
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.alerting import app
from services.alerting.app import Alerting
from services.common.configuration import file as configuration_file
from services.common.loops import cancel
from services.common.settings import AlertingSettings
from services.common.watchdog import LOOP_STUCK, Watchdog
from tests.support.organisation import write_configuration
from tests.support.servers import fresh_topics
from tests.support.smtp_sink import SmtpSink
from tests.support.waiting import eventually


def settings(configuration: Path, **more: Any) -> AlertingSettings:
    always: dict[str, Any] = {
        "config": configuration, "kafka_bootstrap_servers": "127.0.0.1:9", "smtp_url": "smtp://127.0.0.1:9",
        "mail_from": "rufkette@example.org", "public_url": "http://127.0.0.1:1",
        "secret_key": "a-secret-key-for-tests-only",
    }  # fmt: skip
    return AlertingSettings(**always | more)


async def test_every_loop_goes_round_with_nothing_to_do(kafka: str, database_url: str, tmp_path: Path) -> None:
    sink = SmtpSink()
    await sink.start()
    configuration = write_configuration(tmp_path / "config.yaml")
    connected = settings(
        configuration, database_url=database_url, kafka_bootstrap_servers=kafka,
        topic_prefix=await fresh_topics(kafka), smtp_url=sink.url,
    )  # fmt: skip
    alerting = Alerting(connected, configuration_file.load(configuration))
    working = asyncio.create_task(alerting.work())
    try:

        async def pulses() -> dict[str, float]:
            assert not working.done(), working.exception()
            return dict(alerting.watchdog.pulses)

        every = {*alerting.loops(), "recording"}
        await eventually(pulses, lambda found: set(found) == every, within=20)
        since = time.monotonic()
        # Housekeeping rightly sleeps for longer: it has a limit of its own.
        waiting = every - {"housekeeping"}
        await eventually(pulses, lambda found: all(found[name] > since for name in waiting), within=LOOP_STUCK - 5)
    finally:
        await cancel({working})
        with contextlib.suppress(asyncio.CancelledError):
            await working
        await alerting.stop()
        await sink.stop()


async def test_healthz_asks_for_a_restart_when_only_that_helps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    watchdog = Watchdog()
    monkeypatch.setattr(app, "Watchdog", lambda **_: watchdog)
    nowhere = "postgresql://nobody@127.0.0.1:9/nothing"
    configuration = write_configuration(tmp_path / "config.yaml")
    desk = app.app_for(settings(configuration, database_url=nowhere), configuration_file.load(configuration))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(desk), base_url="http://desk") as client:
        assert (await client.get("/healthz")).status_code == 200
        watchdog.condemn("partition 3")
        answer = await client.get("/healthz")
    assert (answer.status_code, answer.json()) == (503, {"status": "stuck", "problem": "partition 3"})
