"""Positions as a consumer group's offsets: for lag tools only, nothing reads them back."""

import asyncio
from collections.abc import Iterable
from typing import Final

import structlog
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from services.alerting.reading.leases import Position
from services.common.loops import library_cancellation_as_error

log = structlog.get_logger()

SHOW_EVERY: Final = 5.0


async def show(client: AIOKafkaConsumer, held: Iterable[Position]) -> None:
    """Commit what is assigned by now: what we just got is not, and the client takes an empty commit for a mistake."""
    offsets = {TopicPartition(position.topic, position.partition): position.next_offset for position in held}
    if not (known := {tp: offset for tp, offset in offsets.items() if tp in client.assignment()}):
        return
    try:
        async with asyncio.timeout(SHOW_EVERY):
            with library_cancellation_as_error():
                await client.commit(known)
    except (KafkaError, OSError, TimeoutError) as error:
        log.debug("lag.unshown", error=type(error).__name__)
