"""Two alerting processes share the work; either may be killed or hang."""

import asyncio
import random
import time

from services.alerting.reading import leases
from tests.support.chain import Chain
from tests.support.database import rows
from tests.support.gateway import Gateway
from tests.support.leases import shared
from tests.support.mails import mails_about
from tests.support.office import all_mailed, assert_nothing_lost_and_nothing_doubled
from tests.support.service import Service
from tests.support.waiting import eventually

TAKEN_OVER_WITHIN = 8.0
"""Seconds from a process's end until another one reads its partitions: five are promised (`bench scale` measures them),
and a busy machine may take some for itself."""


async def test_each_mail_is_sent_once(office: Chain, second: Service) -> None:
    pressed = await Gateway(office).stream(40, random.Random(11), apart=0.01)  # noqa: S311 – no secret
    await all_mailed(office, pressed)
    await assert_nothing_lost_and_nothing_doubled(office, pressed)
    assert all(len(mails_about(office.sink, event_id)) == 1 for event_id in pressed)
    by_process = [{r["incident_id"] for r in s.events("incident.opened")} for s in (office.alerting, second)]
    opened = [len(ids & set(pressed)) for ids in by_process]
    assert sum(opened) == 40
    assert min(opened) > 0


async def test_the_other_one_takes_over_after_a_kill(office: Chain, second: Service) -> None:
    gateway, chance = Gateway(office), random.Random(12)  # noqa: S311 – no secret
    before = await gateway.stream(10, chance, apart=0.01)
    await all_mailed(office, before)
    killed_at = time.monotonic()
    office.alerting.kill()
    pressed = await gateway.stream(20, chance, apart=0.01)
    await shared(office, second)
    assert time.monotonic() - killed_at <= TAKEN_OVER_WITHIN
    await all_mailed(office, pressed)
    await assert_nothing_lost_and_nothing_doubled(office, before + pressed)


async def test_what_a_dead_process_reads_is_free_within_the_five_seconds_that_are_promised(office: Chain) -> None:
    """Its lease has to end, another one to look, and to look again where it had taken only its share."""
    query = f"select extract(epoch from {leases._LEASE.text})::float as seconds"  # noqa: S608 – ours
    (lease,) = await rows(office.database_url, query)
    assert lease["seconds"] + 2 * leases.RENEW_EVERY <= 5.0


async def test_a_kill_while_presses_stream_in(office: Chain, second: Service) -> None:
    gateway, chance = Gateway(office), random.Random(13)  # noqa: S311 – no secret
    stream = asyncio.create_task(gateway.stream(60, chance, apart=0.02))

    async def answered() -> int:
        return len(gateway.answered)

    await eventually(answered, lambda count: count >= 25)
    office.alerting.kill()
    pressed = await stream
    await shared(office, second)
    await all_mailed(office, pressed)
    await assert_nothing_lost_and_nothing_doubled(office, pressed)


async def test_one_that_hung_applies_nothing_twice_when_it_wakes(office: Chain, second: Service) -> None:
    gateway, chance = Gateway(office), random.Random(14)  # noqa: S311 – no secret
    stream = asyncio.create_task(gateway.stream(60, chance, apart=0.03))

    async def answered() -> int:
        return len(gateway.answered)

    await eventually(answered, lambda count: count >= 20)
    paused_at = time.monotonic()
    office.alerting.pause()
    try:
        pressed = await stream
        await shared(office, second)
        assert time.monotonic() - paused_at <= TAKEN_OVER_WITHIN
        more = await gateway.stream(20, chance, apart=0.01)
    finally:
        office.alerting.resume()
    await shared(office, office.alerting, second)
    last = await gateway.stream(20, chance, apart=0.01)
    await all_mailed(office, pressed + more + last)
    await assert_nothing_lost_and_nothing_doubled(office, pressed + more + last)
    assert office.alerting.stray_lines == []
