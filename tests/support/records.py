"""What stands on the Kafka topics, read and written as any program beside the services would."""

import time
from collections.abc import Sequence
from typing import Any

from aiokafka import TopicPartition
from aiokafka.admin import NewTopic

from schemas import codec, topics
from schemas.lifecycle import Change, Lifecycle
from services.common import kafka
from services.common.settings import Settings
from tests.support.chain import Surroundings
from tests.support.servers import client_settings
from tests.support.waiting import eventually

Written = Sequence[tuple[str, bytes]]


async def records_on(around: Surroundings, topic: str) -> list[Any]:
    """Every record that is on the topic now, partition by partition."""
    settings = client_settings(around.kafka, around.topic_prefix)
    name = topics.prefixed(topic, around.topic_prefix)
    partitions = [TopicPartition(name, number) for number in await kafka.partitions_of(settings, name)]
    consumer = kafka.consumer(settings)
    await consumer.start()
    try:
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        await consumer.seek_to_beginning(*partitions)
        found: list[Any] = []
        deadline = time.monotonic() + 20
        while any([await consumer.position(one) < ends[one] for one in partitions]):
            assert time.monotonic() < deadline, f"{name} could not be read to its end"
            for records in (await consumer.getmany(timeout_ms=100)).values():
                found += records
        return sorted(found, key=lambda record: (record.partition, record.offset))
    finally:
        await consumer.stop()


async def lifecycle_of(around: Surroundings, incident_id: str) -> list[tuple[Change, Lifecycle]]:
    """What `incidents.lifecycle` says about one incident, in its order."""
    changes = [codec.decode_lifecycle(r.headers, r.value) for r in await records_on(around, topics.LIFECYCLE)]
    return [(change, data) for change, data in changes if data.incident_id == incident_id]


async def write(
    around: Surroundings, value: bytes | None, headers: Written, *, key: bytes = b"bernburg", partition: int = 0
) -> int:
    """Put a record on a partition of `incidents.events` as it is; returns its offset."""
    producer = kafka.producer(client_settings(around.kafka, around.topic_prefix))
    await producer.start()
    try:
        name = topics.prefixed(topics.EVENTS, around.topic_prefix)
        written = await producer.send_and_wait(name, value=value, key=key, headers=list(headers), partition=partition)
        return int(written.offset)
    finally:
        await producer.stop()


async def recreate(around: Surroundings, topic: str) -> None:
    """Delete a topic with all that is on it and create it anew, as a cluster that was set up again."""
    settings = client_settings(around.kafka, around.topic_prefix)
    await recreate_on(settings, topics.prefixed(topic, around.topic_prefix))


async def recreate_on(settings: Settings, name: str, *, partitions: int = 6) -> None:
    """`recreate` without a chain."""
    async with kafka.admin(settings) as admin:

        async def created() -> bool:
            response = await admin.create_topics([NewTopic(name, partitions, 1)])
            return [code for _, code, *_ in response.topic_errors] == [0]

        await admin.delete_topics([name])
        await eventually(admin.list_topics, lambda names: name not in names)
        await eventually(created, bool)

        async def described() -> Any:
            (found,) = await admin.describe_topics([name])
            return found

        await eventually(described, lambda t: t["error_code"] == 0 and all(p["leader"] >= 0 for p in t["partitions"]))
