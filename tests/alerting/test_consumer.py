"""The consumer beside what goes on at the same time: other processes take its partitions, Kafka has forgotten them."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from functools import partial

import pytest
import sqlalchemy as sa
from aiokafka import AIOKafkaConsumer, TopicPartition
from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from schemas import topics
from services.alerting.app import Alerting
from services.alerting.consumer import Consumer
from services.alerting.database import in_transaction
from services.alerting.reading import lag, leases
from services.alerting.reading.in_hand import InHand, Lane
from services.alerting.reading.leases import Position
from services.alerting.tables import senders
from services.common import kafka as clients
from services.common.loops import Loop, Pulses, cancel, run_together
from services.common.outage import Outage, pause
from services.common.settings import AlertingSettings
from tests.alerting.conftest import Shell
from tests.alerting.reading import OWNER, holding, holds, reported, send, somebody_waits
from tests.core.office import report, rules
from tests.support.waiting import eventually


@pytest.fixture
async def client(settings: AlertingSettings) -> AsyncIterator[AIOKafkaConsumer]:
    client = clients.consumer(settings, "rufkette-test")
    await client.start()
    yield client
    await clients.close(client)


async def test_a_partition_that_was_taken_away_while_kafka_forgot_it_ends_nothing(
    shell: Shell, database: AsyncEngine, settings: AlertingSettings, client: AIOKafkaConsumer
) -> None:
    topic = topics.prefixed(topics.EVENTS, settings.topic_prefix)

    async def somebody_else_owns_it(tx: AsyncConnection) -> None:
        await leases.register(tx, topic, [0])
        await leases.renew(tx, "another", topic, {0: True})
        await leases.claim(tx, "another", topic)

    await in_transaction(database, somebody_else_owns_it)
    consumer = Consumer(shell.engine, settings, OWNER, Outage("database"))
    consumer._held = {0: Position(topic, 0, 29, "an event that is gone")}
    await consumer._diverged(client, 0)
    assert consumer._held == {}
    await consumer._diverged(client, 0)  # also when that was noticed before


async def test_lag_is_not_shown_of_what_is_not_read_yet(settings: AlertingSettings, client: AIOKafkaConsumer) -> None:
    topic = topics.prefixed(topics.EVENTS, settings.topic_prefix)
    for held in ([], [Position(topic, 0, 0, None)]):
        await lag.show(client, held)
    assert await client.committed(TopicPartition(topic, 0)) is None


async def test_a_partition_that_waits_for_the_database_holds_up_no_other(
    shell: Shell, database: AsyncEngine, database_url: str, settings: AlertingSettings
) -> None:
    """Somebody holds the incident at the place of a press: presses elsewhere are alarms meanwhile."""
    topic = topics.prefixed(topics.EVENTS, settings.topic_prefix)
    await shell.apply(report(shell.now, id="first"))
    consumer = Consumer(shell.engine, settings, OWNER, Outage("database"))
    pulses: Pulses = {}
    loops: dict[str, Loop] = {"consumer": consumer.run, "leases": consumer.keep_leases}
    task = asyncio.create_task(run_together(loops, pulses))

    async def shown() -> dict[str, float]:
        return dict(pulses)

    try:
        async with holding(database_url, "SELECT FROM incidents WHERE id = 'first' FOR UPDATE"):
            await send(settings, topic, 0, report(shell.now, id="waits"))
            await eventually(partial(somebody_waits, database), bool)
            # It waits, and tries again and again: that is no standstill.
            since = time.monotonic()
            await eventually(shown, lambda at: at["partition 0"] > since)
            for number in range(3):
                await send(settings, topic, 1, report(shell.now, id=f"other {number}", location=f"Zimmer {number}"))
                await eventually(partial(reported, shell), partial(holds, f"other {number}"))
            assert "waits" not in await reported(shell)
        await eventually(partial(reported, shell), partial(holds, "waits"))
        await eventually(shown, lambda at: at.keys() == loops.keys())
    finally:
        await cancel({task})


async def _raise(error: Exception) -> None:
    raise error


async def test_a_partition_whose_records_hang_is_the_only_one_that_shows_no_life() -> None:
    pulses: Pulses = {}
    in_hand = InHand()

    async def hang() -> None:
        await asyncio.Event().wait()

    async def get_on() -> None:
        while True:
            await pause(0)

    async def consume() -> None:
        in_hand.take(Lane(0), hang())
        in_hand.take(Lane(1), get_on())
        await in_hand.one_applied()

    async def shown() -> dict[str, float]:
        return dict(pulses)

    task = asyncio.create_task(run_together({"consumer": consume}, pulses))
    try:
        await eventually(shown, lambda at: len(at) == 3)
        since = time.monotonic()
        after = await eventually(shown, lambda at: at["consumer"] > since and at["partition 1"] > since)
        assert after["partition 0"] <= since
    finally:
        await cancel({task})
        await in_hand.abandon()


async def test_what_applying_raises_is_raised_when_the_others_have_ended() -> None:
    in_hand, go_on = InHand(), asyncio.Event()
    ended: list[int] = []

    async def apply(number: int) -> None:
        await go_on.wait()
        ended.append(number)

    in_hand.take(Lane(1, ahead=True), apply(1))
    in_hand.take(Lane(2), _raise(LookupError()))
    assert (Lane(1, ahead=True) in in_hand, Lane(1) in in_hand) == (True, False)
    assert (in_hand.any_of(1), in_hand.any_of(2), in_hand.any_of(3)) == (True, True, False)
    await in_hand.end_of(Lane(2))
    await in_hand.end_of(Lane(3))
    go_on.set()
    with pytest.raises(LookupError):
        await in_hand.all_applied()
    assert (ended, in_hand.any_of(1), in_hand.any_of(2)) == ([1], False, False)
    await in_hand.all_applied()


async def test_fetching_ends_when_a_partition_may_be_fetched_again() -> None:
    in_hand, go_on = InHand(), asyncio.Event()

    async def fetch() -> str:
        await asyncio.Event().wait()
        return "never"

    async def apply() -> None:
        await go_on.wait()

    in_hand.take(Lane(1), apply())
    asyncio.get_running_loop().call_soon(go_on.set)
    assert await in_hand.meanwhile(fetch) is None
    assert not in_hand.any_of(1)
    in_hand.take(Lane(1), asyncio.Event().wait())  # type: ignore[arg-type]  # never ends, so its result is none
    await in_hand.abandon()
    assert not in_hand.any_of(1)


async def test_leases_and_signs_of_life_wait_behind_no_page(
    database: AsyncEngine, database_url: str, settings: AlertingSettings
) -> None:
    """Everybody who was mailed opens the link, and the database takes its time for each page."""
    process = Alerting(settings.model_copy(update={"database_url": SecretStr(database_url)}), rules().configuration)
    living = asyncio.create_task(process.mailer.show_life())

    async def lives() -> bool:
        async with database.connect() as connection:
            return bool(await connection.scalar(sa.select(sa.func.count()).select_from(senders)))

    try:
        async with contextlib.AsyncExitStack() as pages:
            for _ in range(20):
                await pages.enter_async_context(process.database.connect())
            async with asyncio.timeout(3):  # a lease; one of those connections would be waited for longer
                await process.consumer._maintain()
                await eventually(lives, bool)
    finally:
        living.cancel()
        await process.stop()
