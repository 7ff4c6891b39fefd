"""Somebody outside is called while the whole chain works, and only then."""

import time
from collections.abc import AsyncIterator

import pytest

from tests.support.chain import Chain
from tests.support.office import start_both
from tests.support.receiver import Receiver
from tests.support.servers import KafkaServer, PostgresServer
from tests.support.waiting import eventually

pytestmark = pytest.mark.usefixtures("servers_back")

EVERY = 2
"""Seconds from one probe to the next."""


@pytest.fixture
async def outside() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.stop()


@pytest.fixture
async def watched(frail: Chain, outside: Receiver) -> Chain:
    """A chain whose ingest calls the receiver every other second."""
    settings = {"RUFKETTE_LIFESIGN_URL": f"{outside.url}/alive", "RUFKETTE_LIFESIGN_EVERY": str(EVERY)}
    frail.ingest.environment = dict(frail.ingest.environment) | settings
    await start_both(frail)
    return frail


async def called(outside: Receiver, more: int) -> None:
    """Wait until it was called so many times from now on."""
    before = len(outside.requests)

    async def since() -> int:
        return len(outside.requests) - before

    await eventually(since, lambda count: count >= more, within=30)


async def silent(chain: Chain, outside: Receiver) -> None:
    """Wait until a probe was missed; in the time of the next two nobody is called."""
    missed = len(chain.ingest.events("probe.missing"))

    async def more() -> int:
        return len(chain.ingest.events("probe.missing")) - missed

    async def now() -> float:
        return time.monotonic()

    await eventually(more, lambda count: count >= 1, within=30)
    before, until = len(outside.requests), time.monotonic() + 2 * EVERY
    await eventually(now, lambda time: time >= until)
    assert len(outside.requests) == before


async def test_it_stops_with_each_part_and_comes_back(
    watched: Chain, outside: Receiver, frail_kafka: KafkaServer, frail_postgres: PostgresServer
) -> None:
    await called(outside, 2)
    assert {request.path for request in outside.requests} == {"/alive"}

    watched.alerting.kill()
    await silent(watched, outside)
    await watched.alerting.start()
    await called(outside, 1)

    await watched.sink.stop()
    await silent(watched, outside)
    await watched.sink.start()
    await called(outside, 1)
    assert watched.alerting.events("probe.unmailable")

    for server in (frail_postgres, frail_kafka):
        server.stop()
        await silent(watched, outside)
        server.start()
        await called(outside, 1)
    assert watched.sink.received == []  # nobody got a mail for it
    assert "/alive" not in watched.ingest.output


async def test_a_listener_that_does_not_listen_is_named(watched: Chain, outside: Receiver) -> None:
    outside.respond = lambda _: 302
    await watched.ingest.wait_for_event("lifesign.unheard", code=302)
