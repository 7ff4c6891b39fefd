"""Records on their way to Kafka: what comes while Kafka stores a partition's last batch goes together in the next one.

The client's own way takes each record by itself, and a task of its own for each: that was a fifth of what a press cost.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from aiokafka import AIOKafkaProducer
from aiokafka.cluster import ClusterMetadata
from aiokafka.errors import MessageSizeTooLargeError
from aiokafka.producer.message_accumulator import BatchBuilder

from schemas import codec
from services.common import kafka
from services.common.loops import library_cancellation_as_error
from services.ingest.loops import end_process_on_bug
from services.ingest.metrics import PUBLISHING

SEND_WITHIN: Final = 1.8
"""Seconds for one event in all: several senders hang up after 5 s and never try again."""
_LARGEST: Final = 1_000_000
"""Bytes; Kafka's own limit, which a topic may lower, is little more. Ours take at most a tenth of it."""
_ENDS_WITHIN: Final = 1.0


class Undelivered(Exception):
    """Kafka is not known to have the record; the message says why, without addresses."""


class TooLarge(Undelivered):
    """Nor will it ever: Kafka takes no record of this size."""

    def __init__(self) -> None:
        super().__init__("Kafka takes no record of this size")


@dataclass(slots=True, eq=False)
class _Waiting:
    record: codec.Record
    stored: asyncio.Future[None]
    since: float


@dataclass(slots=True, eq=False)
class _Lane:
    """What waits for one partition, in order; what is urgent goes first."""

    urgent: deque[_Waiting] = field(default_factory=deque)
    others: deque[_Waiting] = field(default_factory=deque)

    @property
    def queue(self) -> deque[_Waiting]:
        """What the next one is taken from; empty when nothing waits."""
        return self.urgent or self.others


class Lanes:
    """The partitions of one topic, through one producer; each is sent one batch at a time.

    Nothing overtakes but what is urgent, and that overtakes all that is not on its way.

    Args:
        producer: connected; whoever made it closes it.
        topic: with its prefix.
        partitions: how many it has; more are noticed.
        failed: called with the error that makes the producer useless, before anybody hears of it.
    """

    def __init__(
        self, producer: AIOKafkaProducer, topic: str, partitions: int, failed: Callable[[BaseException], None]
    ) -> None:
        self.producer = producer
        self._topic = topic
        self._partitions = partitions
        producer.client.cluster.add_listener(self._count_partitions)
        self._failed = failed
        self._lanes: dict[int, _Lane] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self.underway = 0
        """Records that Kafka has not acknowledged."""

    def put(self, record: codec.Record, *, urgent: bool = False) -> asyncio.Future[None]:
        """Send a record; the future is done when all in-sync replicas have it, and fails with `Undelivered`.

        The record may arrive all the same, unless the future was cancelled before its turn came.
        """
        if len(record.value) > _LARGEST:
            return refused(TooLarge())
        partition = kafka.partition_of(record.key, self._partitions)
        lane = self._lanes.get(partition) or self._lanes.setdefault(partition, _Lane())
        stored: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        (lane.urgent if urgent else lane.others).append(_Waiting(record, stored, time.perf_counter()))
        self.underway += 1
        if partition not in self._tasks:
            task = asyncio.create_task(self._drain(partition, lane), name="sending to Kafka")
            task.add_done_callback(end_process_on_bug)
            self._tasks[partition] = task
        return stored

    def _count_partitions(self, cluster: ClusterMetadata) -> None:
        """There is news of the cluster. While a broker starts, it may leave out a topic that is there."""
        self._partitions = max(self._partitions, len(cluster.partitions_for_topic(self._topic) or ()))

    def close(self, reason: str) -> None:
        """What was not sent yet is not going to be."""
        for lane in self._lanes.values():
            while lane.queue:
                self._fail([lane.queue.popleft()], Undelivered(reason))

    async def ended(self) -> None:
        """After `close`, and the end of the producer: nothing of this runs any more."""
        tasks = set(self._tasks.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=_ENDS_WITHIN)

    async def _drain(self, partition: int, lane: _Lane) -> None:
        try:
            while lane.queue:
                batch, taken = self._gather(lane)
                if taken:
                    await self._send(batch, taken, partition)
        finally:
            del self._tasks[partition]

    def _gather(self, lane: _Lane) -> tuple[BatchBuilder, list[_Waiting]]:
        """As many of the lane as fit in one batch."""
        batch = self.producer.create_batch()
        taken: list[_Waiting] = []
        while queue := lane.queue:
            one = queue[0]
            record = one.record
            if one.stored.done():
                self.underway -= 1
            elif batch.append(timestamp=None, key=record.key, value=record.value, headers=list(record.headers)) is None:
                break  # full; its first record it takes whatever the size
            else:
                taken.append(one)
            queue.popleft()
        return batch, taken

    async def _send(self, batch: BatchBuilder, taken: list[_Waiting], partition: int) -> None:
        try:
            async with asyncio.timeout(SEND_WITHIN):
                with library_cancellation_as_error():
                    await (await self.producer.send_batch(batch, self._topic, partition=partition))
        except MessageSizeTooLargeError as error:
            # What comes next would be out of sequence for the broker.
            self._failed(error)
            self._fail(taken, TooLarge())
        except Exception as error:  # noqa: BLE001 – whatever it is, such as a topic with fewer partitions: a new producer is the cure
            self._failed(error)
            self._fail(taken, Undelivered(describe(error)))
        except BaseException:
            self._fail(taken, Undelivered("stopping"))
            raise
        else:
            now = time.perf_counter()
            self.underway -= len(taken)
            for one in taken:
                PUBLISHING.observe(now - one.since)
                if not one.stored.done():
                    one.stored.set_result(None)

    def _fail(self, some: Sequence[_Waiting], error: Undelivered) -> None:
        self.underway -= len(some)
        for one in some:
            if not one.stored.done():
                _end(one.stored, error)


def refused(error: Undelivered) -> asyncio.Future[None]:
    """What `put` returns for a record that is not sent at all."""
    stored: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    _end(stored, error)
    return stored


def _end(stored: asyncio.Future[None], error: Undelivered) -> None:
    stored.set_exception(error)
    # Whoever waited may have its answer from the journal already.
    stored.exception()


def describe(error: BaseException) -> str:
    """Why Kafka is not at hand, without addresses."""
    if isinstance(error, TimeoutError):
        return "Kafka did not answer in time"
    return f"Kafka cannot be reached ({type(error).__name__})"
