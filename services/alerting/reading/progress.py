"""Whether reading gets on: what Kafka holds, asked by another client, against where we stand."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from services.alerting.reading.anchors import Anchors
from services.alerting.reading.leases import Position
from services.common import kafka
from services.common.loops import beat, library_cancellation_as_error
from services.common.outage import Outage
from services.common.settings import Settings

STANDSTILL: Final = 30.0
"""Seconds without a step on a partition that has records waiting, while Kafka and the database answer."""
_LOOK_EVERY: Final = 5.0
_ANSWER_WITHIN: Final = 10.0
Outlook = Mapping[int, "Stand"]


@dataclass(frozen=True, slots=True)
class Stand:
    """`at`: how far the partition is applied; `waiting`: whether there is more, on Kafka or read already."""

    at: int
    waiting: bool


async def look(
    settings: Settings,
    topic: str,
    client: AIOKafkaConsumer | None,
    held: Mapping[int, Position],
    anchors: Anchors,
    unapplied: Callable[[], Collection[int]],
) -> Outlook:
    """Where the partitions stand; `anchors` hear what Kafka forgot. `unapplied`: of which there is more that was read.

    Raises:
        KafkaError, OSError, TimeoutError: Kafka does not answer.
    """
    if client is None or not held:
        return {}
    other = kafka.consumer(settings)
    try:
        async with asyncio.timeout(_ANSWER_WITHIN):
            await other.start()
            ends = await other.end_offsets([TopicPartition(topic, number) for number in held])
        await anchors.look(other, held, ends)
    finally:
        await kafka.close(other)
    assigned = client.assignment()
    stands: dict[int, Stand] = {}
    for partition, end in ends.items():
        at = held[partition.partition].next_offset
        # What the client has handed out counts as read: a partition may end with markers that no reader ever sees.
        handed_out = await _handed_out(client, partition) if partition in assigned else at
        more = max(at, handed_out) < end or partition.partition in unapplied()
        stands[partition.partition] = Stand(at, waiting=more)
    return stands


async def _handed_out(client: AIOKafkaConsumer, partition: TopicPartition) -> int:
    try:
        async with asyncio.timeout(1):
            return int(await client.position(partition))
    except (TimeoutError, KafkaError):
        return 0  # it does not even know where it is


class Progress:
    """`condemn` is told which partition stands still; a restart, or another process, reads it on."""

    def __init__(
        self,
        ask: Callable[[], Awaitable[Outlook]],
        condemn: Callable[[str], None],
        *away: Outage,
        after: float = STANDSTILL,
    ) -> None:
        self._ask = ask
        self._condemn = condemn
        self._away = away
        self._after = after
        self._since: dict[int, tuple[int, float]] = {}

    async def run(self) -> None:
        """Look for ever."""
        while True:
            beat()
            await asyncio.sleep(_LOOK_EVERY)
            try:
                with library_cancellation_as_error():
                    stands = await self._ask()
            except (KafkaError, OSError, TimeoutError):
                self._since.clear()  # Kafka's absence is nobody's standstill
            else:
                self.consider(stands, time.monotonic())

    def consider(self, stands: Outlook, now: float) -> None:
        """Compare with what was seen before."""
        if any(outage.down is not None for outage in self._away):
            self._since.clear()
            return
        waiting = {number: stand for number, stand in stands.items() if stand.waiting}
        for number in set(self._since) - set(waiting):
            del self._since[number]
        for number, stand in waiting.items():
            at, since = self._since.get(number, (stand.at, now))
            if at != stand.at:
                since = now
            self._since[number] = (stand.at, since)
            if now - since >= self._after:
                self._condemn(f"partition {number}")
