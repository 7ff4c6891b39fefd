"""Records that go to Kafka in batches of our own: all of them, in their order, each with an answer."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.admin import NewPartitions
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.structs import TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from schemas import topics
from schemas.codec import Record
from services.common import kafka as clients
from services.ingest.kafka_lanes import SEND_WITHIN, Lanes, TooLarge, Undelivered
from services.ingest.kafka_writer import _close
from tests.ingest.reading import until
from tests.support.servers import KafkaServer, client_settings, fresh_topics

HEADERS = (("ce_id", b"1"), ("ce_type", "Tür".encode()))


def record(value: bytes, key: bytes = b"bernburg") -> Record:
    return Record(key, value, HEADERS)


class Opened:
    """Lanes, and what they failed with."""

    def __init__(self, producer: AIOKafkaProducer, topic: str, partitions: int) -> None:
        self.errors: list[BaseException] = []
        self.lanes = Lanes(producer, topic, partitions, self.errors.append)


@asynccontextmanager
async def opened(kafka: str, prefix: str, partitions: int = 12) -> AsyncIterator[Opened]:
    producer = clients.producer(client_settings(kafka))
    await producer.start()
    found = Opened(producer, topics.prefixed(topics.EVENTS, prefix), partitions)
    try:
        yield found
    finally:
        found.lanes.close("stopping")
        await _close(producer, found.lanes)
        assert not [task for task in asyncio.all_tasks() if "Accumulator" in repr(task)], "nothing of it stays"


def on_their_way(lanes: Lanes) -> bool:
    """All that was put, in batches that Kafka has not acknowledged."""
    return not any(lane.queue for lane in lanes._lanes.values())


async def read(kafka: str, prefix: str, count: int) -> dict[int, list[bytes]]:
    """The values of each partition that has any, once there are so many."""
    consumer = clients.consumer(client_settings(kafka))
    await consumer.start()
    found: dict[int, list[bytes]] = {}
    try:
        name = topics.prefixed(topics.EVENTS, prefix)
        numbers = (await consumer._client.fetch_all_metadata()).partitions_for_topic(name) or set()
        consumer.assign([TopicPartition(name, number) for number in numbers])
        await consumer.seek_to_beginning()
        async with asyncio.timeout(20):
            while sum(map(len, found.values())) < count:
                for partition, records in (await consumer.getmany(timeout_ms=200)).items():
                    assert all(tuple(one.headers) == HEADERS for one in records)
                    found.setdefault(partition.partition, []).extend(one.value for one in records)
    finally:
        await consumer.stop()
    return found


async def test_all_of_a_place_arrive_in_their_order_in_few_batches(kafka: str, topic_prefix: str) -> None:
    async with opened(kafka, topic_prefix) as found:
        batches = 0
        create = found.lanes.producer.create_batch

        def counted() -> object:
            nonlocal batches
            batches += 1
            return create()

        found.lanes.producer.create_batch = counted
        values = [b"%d" % n for n in range(300)]
        sent = [found.lanes.put(record(value)) for value in values]
        assert found.lanes.underway == 300
        await asyncio.gather(*sent)
        assert (found.lanes.underway, found.errors) == (0, [])
    assert batches <= 3
    assert list((await read(kafka, topic_prefix, 300)).values()) == [values]


async def test_a_record_lies_where_any_other_client_would_put_it(kafka: str, topic_prefix: str) -> None:
    keys = [f"site-{n}".encode() for n in range(40)]
    async with opened(kafka, topic_prefix, partitions=1) as found:
        topic = topics.prefixed(topics.EVENTS, topic_prefix)
        places = [
            (await found.lanes.producer.send_and_wait(topic, b"theirs", key, headers=list(HEADERS))).partition
            for key in keys
        ]
        await asyncio.gather(*(found.lanes.put(record(b"ours", key)) for key in keys))
    for partition, values in (await read(kafka, topic_prefix, 80)).items():
        assert values.count(b"ours") == values.count(b"theirs") == places.count(partition)


@given(st.binary(min_size=1, max_size=40), st.integers(1, 200))
def test_a_partition_is_one_of_those_there_are(key: bytes, partitions: int) -> None:
    assert 0 <= clients.partition_of(key, partitions) < partitions


async def test_partitions_that_were_added_are_used(kafka: str, topic_prefix: str) -> None:
    topic = topics.prefixed(topics.EVENTS, topic_prefix)
    keys = [f"site-{n}".encode() for n in range(200)]
    async with opened(kafka, topic_prefix) as found:
        await found.lanes.put(record(b"before"))
        async with clients.admin(client_settings(kafka)) as admin:
            await admin.create_partitions({topic: NewPartitions(total_count=40)})
        cluster = found.lanes.producer.client.cluster

        async def all_known() -> None:
            while len(cluster.partitions_for_topic(topic) or ()) < 40:
                await found.lanes.producer.client.force_metadata_update()

        await asyncio.wait_for(all_known(), 20)
        await asyncio.gather(*(found.lanes.put(record(b"after", key)) for key in keys))
    places = {partition for partition, values in (await read(kafka, topic_prefix, 201)).items() if b"after" in values}
    assert max(places) > 11


async def test_what_is_too_large_is_refused_alone(kafka: str, topic_prefix: str) -> None:
    async with opened(kafka, topic_prefix) as found:
        before, large, after = (found.lanes.put(record(v)) for v in (b"before", b"x" * 2_000_000, b"after"))
        await before
        with pytest.raises(TooLarge):
            await large
        await after
        assert (found.lanes.underway, found.errors) == (0, [])
    assert list((await read(kafka, topic_prefix, 2)).values()) == [[b"before", b"after"]]


async def test_a_press_overtakes_what_is_not_on_its_way(kafka: str, topic_prefix: str) -> None:
    forms = [b"form %04d " % n + b"x" * 60_000 for n in range(20)]
    async with opened(kafka, topic_prefix) as found:
        sent = [found.lanes.put(record(form)) for form in forms]
        await sent[0]
        presses = [found.lanes.put(record(value), urgent=True) for value in (b"press 1", b"press 2")]
        await asyncio.gather(*sent, *presses)
    (values,) = (await read(kafka, topic_prefix, 22)).values()
    assert [value for value in values if value.startswith(b"form")] == forms
    assert values.index(b"press 2") == values.index(b"press 1") + 1 < 14, "after the two batches that were made before"


async def test_more_than_a_batch_holds_goes_in_several(kafka: str, topic_prefix: str) -> None:
    values = [b"%04d" % n + b"x" * 60_000 for n in range(20)]
    async with opened(kafka, topic_prefix) as found:
        await asyncio.gather(*(found.lanes.put(record(value)) for value in values))
    assert list((await read(kafka, topic_prefix, 20)).values()) == [values]


async def test_what_nobody_waits_for_any_more_is_not_sent(kafka: str, topic_prefix: str) -> None:
    async with opened(kafka, topic_prefix) as found:
        first, second, third = (found.lanes.put(record(value)) for value in (b"1", b"2", b"3"))
        second.cancel()
        await asyncio.gather(first, third)
        assert found.lanes.underway == 0
    assert list((await read(kafka, topic_prefix, 2)).values()) == [[b"1", b"3"]]


async def test_a_broker_that_is_gone_fails_each_record_in_time(own_kafka: KafkaServer) -> None:
    prefix = await fresh_topics(own_kafka.bootstrap_servers)
    async with opened(own_kafka.bootstrap_servers, prefix) as found:
        await found.lanes.put(record(b"before"))
        own_kafka.kill()
        first = found.lanes.put(record(b"1"))
        await until(lambda: on_their_way(found.lanes))
        second = found.lanes.put(record(b"2"))
        async with asyncio.timeout(2 * SEND_WITHIN + 1):
            with pytest.raises(Undelivered):
                await first
            assert len(found.errors) == 1
            found.lanes.close("Kafka is gone")
            with pytest.raises(Undelivered):
                await second
        assert found.lanes.underway == 0


async def test_an_end_in_the_middle_leaves_nobody_waiting(own_kafka: KafkaServer) -> None:
    prefix = await fresh_topics(own_kafka.bootstrap_servers)
    async with opened(own_kafka.bootstrap_servers, prefix) as found:
        await found.lanes.put(record(b"before"))
        own_kafka.kill()
        waiting = found.lanes.put(record(b"1"))
        await until(lambda: on_their_way(found.lanes))
        assert found.lanes.underway == 1
        found.lanes.close("stopping")
        await found.lanes.ended()
        with pytest.raises(Undelivered, match="stopping"):
            await waiting


async def test_what_a_topic_of_small_records_refuses_is_said_so(kafka: str, topic_prefix: str) -> None:
    topic = ConfigResource(ConfigResourceType.TOPIC, topics.prefixed(topics.EVENTS, topic_prefix))
    topic.configs = {"max.message.bytes": "1000"}
    async with clients.admin(client_settings(kafka)) as admin:
        await admin.alter_configs([topic])
    async with opened(kafka, topic_prefix) as found:
        with pytest.raises(TooLarge):
            await found.lanes.put(record(b"x" * 5_000))
        assert len(found.errors) == 1
