"""Every loop of alerting shows that it goes round, else the watchdog would end a process that is well."""

import asyncio
import contextlib
import time
from pathlib import Path

from services.alerting.app import Alerting
from services.common.configuration import file as configuration_file
from services.common.loops import cancel
from services.common.settings import AlertingSettings
from services.common.watchdog import LOOP_STUCK
from tests.support.organisation import write_configuration
from tests.support.servers import fresh_topics
from tests.support.smtp_sink import SmtpSink
from tests.support.waiting import eventually


async def test_every_loop_goes_round_with_nothing_to_do(kafka: str, database_url: str, tmp_path: Path) -> None:
    sink = SmtpSink()
    await sink.start()
    configuration = write_configuration(tmp_path / "config.yaml")
    settings = AlertingSettings(
        config=configuration,
        kafka_bootstrap_servers=kafka,
        topic_prefix=await fresh_topics(kafka),
        database_url=database_url,
        smtp_url=sink.url,
        mail_from="rufkette@example.org",
        public_url="http://127.0.0.1:1",
        secret_key="a-secret-key-for-tests-only",
    )
    alerting = Alerting(settings, configuration_file.load(configuration))
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
