"""The consumer beside what goes on at the same time: other processes take its partitions, Kafka has forgotten them."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from schemas import topics
from services.alerting.consumer import Consumer
from services.alerting.database import in_transaction
from services.alerting.reading import leases
from services.alerting.reading.leases import Position
from services.common import kafka as clients
from services.common.outage import Outage
from services.common.settings import AlertingSettings
from tests.alerting.conftest import Shell

OWNER = "me"


@pytest.fixture
def settings(kafka: str, topic_prefix: str) -> AlertingSettings:
    return AlertingSettings(
        config=Path("unused"), kafka_bootstrap_servers=kafka, topic_prefix=topic_prefix,
        database_url=SecretStr("postgresql://unused"), smtp_url=SecretStr("smtp://127.0.0.1:9"),
        mail_from="unused@example.org", public_url="http://127.0.0.1", secret_key=SecretStr("k" * 16),
    )  # fmt: skip


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


async def test_lag_is_not_shown_of_what_is_not_read_yet(
    shell: Shell, settings: AlertingSettings, client: AIOKafkaConsumer
) -> None:
    topic = topics.prefixed(topics.EVENTS, settings.topic_prefix)
    consumer = Consumer(shell.engine, settings, OWNER, Outage("database"))
    for held in ({}, {0: Position(topic, 0, 0, None)}):
        consumer._held = held
        await consumer._show_lag(client)
    assert await client.committed(TopicPartition(topic, 0)) is None
