"""SIGTERM: both services end within seconds with exit code 0, and lose nothing."""

import asyncio
import os
import random
import signal
import time
from functools import partial

import pytest

from tests.support.chain import Chain
from tests.support.database import rows
from tests.support.gateway import Gateway
from tests.support.mails import mails_about, wait_for_mails
from tests.support.office import all_mailed, assert_nothing_lost_and_nothing_doubled
from tests.support.service import Service
from tests.support.waiting import eventually

ENDS_WITHIN = 12.0
"""Seconds: five for requests in hand, and what a busy machine takes."""


async def ends_well(service: Service) -> None:
    started = time.monotonic()
    os.kill(service.pid, signal.SIGTERM)
    assert await service.wait_for_exit(ENDS_WITHIN) == 0
    assert time.monotonic() - started <= ENDS_WITHIN
    assert service.logs[-1]["event"] == "service.stopped"


@pytest.mark.parametrize("which", ["ingest", "alerting"])
async def test_while_presses_stream_in(office: Chain, which: str) -> None:
    service = office.ingest if which == "ingest" else office.alerting
    await rows(office.database_url, "truncate incidents, outbox, inputs, held cascade")
    gateway, chance = Gateway(office), random.Random(21)  # noqa: S311 – no secret
    stream = asyncio.create_task(gateway.stream(60, chance, apart=0.02))

    async def left(moment: int) -> int:
        return moment - len(gateway.answered)

    for moment in (15, 35):
        await eventually(partial(left, moment), lambda left: left <= 0)
        await ends_well(service)
        await service.start()
    pressed = await stream
    # An orderly stop leaves no mail in hand, so nothing has to wait for a lease.
    await all_mailed(office, pressed)
    await assert_nothing_lost_and_nothing_doubled(office, pressed)
    assert all(len(mails_about(office.sink, event_id)) == 1 for event_id in pressed)


async def test_while_a_mail_server_hangs(office: Chain) -> None:
    office.sink.misbehave("stall")
    event_id = await office.press({"site": "bernburg", "location": "Raum 30", "danger_level": 2})

    async def hanging() -> bool:
        return any(mail.answered == "stall" for mail in office.sink.received)

    await eventually(hanging, bool)
    await ends_well(office.alerting)
    office.sink.behave()
    await office.alerting.start()
    (mail,) = await wait_for_mails(office.sink, event_id, 1)
    assert mail.message["X-Rufkette-Attempt"] == "2"
    await all_mailed(office, [event_id])
