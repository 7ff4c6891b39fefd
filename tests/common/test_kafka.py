"""What we rely on of the Kafka client at its edges; to be run on each upgrade of aiokafka."""

import asyncio

from services.common import kafka as clients
from tests.support.servers import client_settings


async def test_closing_a_consumer_is_no_cancellation_of_ours_and_closes_its_connections(kafka: str) -> None:
    consumer = clients.consumer(client_settings(kafka))
    await consumer.start()
    await consumer.topics()  # over a connection that stays open
    fetch = asyncio.create_task(asyncio.sleep(3600))  # one that has not begun, as between two turns of the loop
    consumer._fetcher._pending_tasks.add(fetch)
    connections = list(consumer._client._conns.values())
    assert connections
    await clients.close(consumer)
    assert fetch.cancelled()
    assert [connection for connection in connections if connection.connected()] == []
