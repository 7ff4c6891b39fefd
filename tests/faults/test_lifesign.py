"""Somebody outside is called while the whole chain works, and only then."""

from collections.abc import AsyncIterator

import pytest

from tests.support.chain import Chain
from tests.support.office import office_on, one_mail_an_incident, start_both
from tests.support.receiver import Receiver
from tests.support.servers import KafkaServer, PostgresServer
from tests.support.waiting import eventually


@pytest.fixture
async def outside() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.stop()


@pytest.fixture
async def watched(
    kafka_server: KafkaServer,
    postgres_server: PostgresServer,
    tmp_path_factory: pytest.TempPathFactory,
    outside: Receiver,
) -> AsyncIterator[Chain]:
    """A chain whose ingest calls the receiver every other second."""
    directory = tmp_path_factory.mktemp("lifesign")
    async with office_on(kafka_server, postgres_server, directory, one_mail_an_incident) as chain:
        settings = {"RUFKETTE_LIFESIGN_URL": f"{outside.url}/alive", "RUFKETTE_LIFESIGN_EVERY": "2"}
        chain.ingest.environment = dict(chain.ingest.environment) | settings
        await start_both(chain)
        yield chain


async def called(outside: Receiver, more: int) -> None:
    """Wait until it was called so many times from now on."""
    before = len(outside.requests)

    async def since() -> int:
        return len(outside.requests) - before

    await eventually(since, lambda count: count >= more, within=30)


async def silent(chain: Chain, outside: Receiver) -> None:
    """Wait until a probe was missed; nothing was called since."""
    missed = len(chain.ingest.events("probe.missing"))

    async def more() -> int:
        return len(chain.ingest.events("probe.missing")) - missed

    await eventually(more, lambda count: count >= 1, within=30)
    before = len(outside.requests)
    assert chain.ingest.events("probe.returned") == [] or len(outside.requests) == before


async def test_it_stops_with_each_part_and_comes_back(watched: Chain, outside: Receiver) -> None:
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
    assert watched.sink.received == []  # nobody got a mail for it
    assert "/alive" not in watched.ingest.output


async def test_a_listener_that_does_not_listen_is_named(watched: Chain, outside: Receiver) -> None:
    outside.respond = lambda _: 302
    await watched.ingest.wait_for_event("lifesign.unheard", code=302)
