"""Kafka clients with the options that the delivery promise needs (docs/architecture.md, "Kafka")."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import lru_cache
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code
from aiokafka.partitioner import DefaultPartitioner

from schemas import topics
from services.common.loops import library_cancellation_as_error
from services.common.settings import Settings

log = structlog.get_logger()

_CLOSE_WITHIN = 3.0
_PARTITION_OF = DefaultPartitioner()


def connection(settings: Settings) -> dict[str, Any]:
    """Options that every client shares: where the brokers are and how to prove who we are."""
    options: dict[str, Any] = {
        "bootstrap_servers": settings.kafka_bootstrap_servers,
        "security_protocol": settings.kafka_security_protocol,
    }
    if settings.kafka_security_protocol.endswith("SSL"):
        context = ssl.create_default_context(cafile=settings.kafka_ssl_cafile)
        if settings.kafka_ssl_certfile is not None:
            context.load_cert_chain(settings.kafka_ssl_certfile, settings.kafka_ssl_keyfile)
        options["ssl_context"] = context
    if settings.kafka_security_protocol.startswith("SASL"):
        password = settings.kafka_sasl_password
        options["sasl_mechanism"] = settings.kafka_sasl_mechanism
        options["sasl_plain_username"] = settings.kafka_sasl_username
        options["sasl_plain_password"] = password.get_secret_value() if password else None
    return options


def producer(settings: Settings) -> AIOKafkaProducer:
    """A producer whose `send_and_wait` returns only after all in-sync replicas have the record."""
    return AIOKafkaProducer(
        **connection(settings), acks="all", enable_idempotence=True, max_batch_size=256 * 1024, request_timeout_ms=5_000
    )


def consumer(settings: Settings, group_id: str | None = None) -> AIOKafkaConsumer:
    """A consumer for `assign()`: its position is ours to keep, never the group's."""
    return AIOKafkaConsumer(
        **connection(settings),
        group_id=group_id,
        enable_auto_commit=False,
        auto_offset_reset="none",
        request_timeout_ms=10_000,
        metadata_max_age_ms=30_000,
    )


@lru_cache(maxsize=4096)
def partition_of(key: bytes, partitions: int) -> int:
    """Where a record with this key goes, as every client of Kafka computes it by default; that takes Python a while."""
    return int(_PARTITION_OF(key, range(partitions), ()))


async def close(client: AIOKafkaConsumer) -> None:
    """Close a consumer within a few seconds, whatever its broker does.

    aiokafka cancels its fetches and awaits them. One that had not begun yet raises the cancellation into whoever
    closes: taken for a stop it would end a loop that is to go on, and the connections would stay open.
    """
    try:
        async with asyncio.timeout(_CLOSE_WITHIN):
            try:
                with library_cancellation_as_error():
                    await client.stop()
            except ConnectionAbortedError:
                await client._client.close()  # noqa: SLF001 – `stop` does nothing the second time
    except (TimeoutError, KafkaError, OSError):
        log.debug("client.abandoned")


@asynccontextmanager
async def admin(settings: Settings) -> AsyncIterator[AIOKafkaAdminClient]:
    """A client for topics and the cluster, until the end of the block."""
    client = AIOKafkaAdminClient(**connection(settings))
    await client.start()
    try:
        yield client
    finally:
        await client.close()


async def create_topics(
    settings: Settings, *, replication: int = 1, overrides: dict[str, str] | None = None
) -> list[str]:
    """Create the topics that are missing; returns the names of those that it made."""
    made: list[str] = []
    async with admin(settings) as client:
        for topic in topics.ALL:
            name = topics.prefixed(topic.name, settings.topic_prefix)
            configs = {"retention.ms": str(int(topic.retention.total_seconds() * 1000)), **(overrides or {})}
            new = NewTopic(name, topic.partitions, replication, topic_configs=configs)
            response = await client.create_topics([new])
            for _, code, *_ in response.topic_errors:
                error = for_code(code)
                if code == 0:
                    made.append(name)
                elif error is not TopicAlreadyExistsError:
                    raise error(f"cannot create topic {name}")
    return made


async def partitions_of(settings: Settings, topic: str) -> list[int]:
    """The numbers of a topic's partitions, asked of the brokers.

    Raises:
        UnknownTopicOrPartitionError: there is no such topic.
    """
    async with admin(settings) as client:
        (found,) = await client.describe_topics([topic])
        if found["error_code"] != 0:
            raise for_code(found["error_code"])(f"topic {topic}")
        return sorted(partition["partition"] for partition in found["partitions"])
