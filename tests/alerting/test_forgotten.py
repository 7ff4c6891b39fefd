"""Kafka forgets while alerting reads: nothing that is there afterwards is passed over."""

from functools import partial

import pytest
import sqlalchemy as sa
from aiokafka import TopicPartition
from structlog.testing import capture_logs

from schemas import topics
from services.alerting.tables import partitions
from services.common.settings import AlertingSettings
from tests.alerting.conftest import Shell
from tests.alerting.reading import reading, reported, send
from tests.core.office import report
from tests.support.records import recreate_on
from tests.support.waiting import eventually

BEFORE = 5


async def press(shell: Shell, settings: AlertingSettings, name: str, count: int) -> set[str]:
    """So many presses at different places, on partition 0; returns their ids."""
    topic = topics.prefixed(topics.EVENTS, settings.topic_prefix)
    presses = [report(shell.now, id=f"{name} {n}", location=f"Zimmer {name} {n}") for n in range(count)]
    await send(settings, topic, 0, *presses)
    return {event.id for event in presses}


@pytest.mark.parametrize("after", [BEFORE - 2, BEFORE - 1, BEFORE, BEFORE + 2])
async def test_a_topic_that_was_created_anew_while_it_was_read(
    shell: Shell, settings: AlertingSettings, after: int
) -> None:
    partition = TopicPartition(topics.prefixed(topics.EVENTS, settings.topic_prefix), 0)

    async def known_after_a_look() -> set[str]:
        await consumer.look_ahead()
        return await reported(shell)

    async with reading(shell, settings) as consumer:
        old = await press(shell, settings, "old", BEFORE)
        await eventually(known_after_a_look, old.issubset)
        await known_after_a_look()
        client = consumer._client
        assert client is not None
        client.pause(partition)  # so that it does not see the topic while there is less on it than there will be
        await recreate_on(settings, partition.topic)
        new = await press(shell, settings, "new", after)
        client.resume(partition)
        if after > BEFORE:  # what looks as if nothing had happened is read before anybody looks
            await eventually(partial(reported, shell), {f"new {after - 1}"}.issubset)
        await eventually(known_after_a_look, (old | new).issubset)
        more = await press(shell, settings, "more", 2)
        await eventually(partial(reported, shell), more.issubset)


@pytest.mark.parametrize("after", [BEFORE - 2, BEFORE - 1, BEFORE, BEFORE + 2])
async def test_a_topic_that_was_created_anew_while_nobody_read(
    shell: Shell, settings: AlertingSettings, after: int
) -> None:
    async with reading(shell, settings):
        old = await press(shell, settings, "old", BEFORE)
        await eventually(partial(reported, shell), old.issubset)
    await recreate_on(settings, topics.prefixed(topics.EVENTS, settings.topic_prefix))
    new = await press(shell, settings, "new", after)

    async def known_after_a_look() -> set[str]:
        await consumer.look_ahead()
        return await reported(shell)

    async with reading(shell, settings) as consumer:
        await eventually(known_after_a_look, (old | new).issubset)


async def test_nothing_is_read_again_while_kafka_has_what_it_had(shell: Shell, settings: AlertingSettings) -> None:
    with capture_logs() as lines:
        async with reading(shell, settings) as consumer:
            for round_ in range(3):
                sent = await press(shell, settings, f"round {round_}", 40)
                await eventually(partial(reported, shell), sent.issubset)
                await consumer.look_ahead()
    assert [line for line in lines if line["event"] == "log.diverged"] == []


async def test_a_topic_that_was_created_anew_with_fewer_partitions(shell: Shell, settings: AlertingSettings) -> None:
    topic = topics.prefixed(topics.EVENTS, settings.topic_prefix)

    async def entered_half_a_minute_later() -> list[int]:
        async with shell.database.begin() as tx:
            earlier = sa.text("caught_up_at - interval '1 minute'")
            await tx.execute(sa.update(partitions).where(partitions.c.partition >= 2).values(caught_up_at=earlier))
        await consumer.look_ahead()
        return sorted(row.partition for row in await shell.rows(partitions) if row.topic == topic)

    async with reading(shell, settings) as consumer:
        old = await press(shell, settings, "old", BEFORE)
        await eventually(partial(reported, shell), old.issubset)
        await recreate_on(settings, topic, partitions=2)
        assert set(await consumer.look_ahead()) <= {0, 1}  # those that are gone blind it to no other
        await eventually(entered_half_a_minute_later, lambda numbers: numbers == [0, 1])
        new = await press(shell, settings, "new", BEFORE)
        await eventually(partial(reported, shell), new.issubset)
        assert set(await consumer.look_ahead()) == {0, 1}
