"""What stands on the topics, read as any other consumer would."""

import asyncio
import time
from collections.abc import Callable

from aiokafka import TopicPartition

from schemas import codec, topics
from schemas.events import Event
from services.common import kafka
from tests.ingest.support import NOW
from tests.support.servers import client_settings


async def events_on(bootstrap_servers: str, prefix: str) -> list[Event]:
    """Every event that is on `incidents.events` now."""
    name = topics.prefixed(topics.EVENTS, prefix)
    consumer = kafka.consumer(client_settings(bootstrap_servers, prefix))
    await consumer.start()
    try:
        metadata = await consumer._client.fetch_all_metadata()
        partitions = [TopicPartition(name, number) for number in metadata.partitions_for_topic(name) or ()]
        assert partitions
        ends = await consumer.end_offsets(partitions)
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        found: list[Event] = []
        deadline = time.monotonic() + 20
        while len(found) < sum(ends.values()):
            assert time.monotonic() < deadline
            for records in (await consumer.getmany(timeout_ms=200)).values():
                found += [codec.decode(record.headers, record.value, arrived_at=NOW) for record in records]
        return found
    finally:
        await consumer.stop()


async def until(condition: Callable[[], bool], within: float = 15.0) -> None:
    """Poll until the condition holds."""
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        await asyncio.sleep(0.02)
