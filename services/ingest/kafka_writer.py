"""The way to Kafka: a producer that is thrown away when it fails, and made anew in the background."""

import asyncio
import contextlib
import time
from itertools import chain
from typing import Final

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from schemas import codec, topics
from services.common import kafka
from services.common.loops import Pulses, beat, library_cancellation_as_error
from services.common.settings import IngestSettings
from services.ingest.kafka_lanes import SEND_WITHIN, Lanes, TooLarge, Undelivered, describe, refused
from services.ingest.loops import begin
from services.ingest.metrics import IN_FLIGHT, KAFKA_REACHABLE

log = structlog.get_logger()

_CONNECT_WITHIN: Final = 5.0
_PROBE_EVERY: Final = 2.0
_PROBE_WITHIN: Final = 2.0
_RETRY_EVERY: Final = 0.5
_CLOSE_WITHIN: Final = 2.0
_SAY_EVERY: Final = 30.0
_MOST_IN_FLIGHT: Final = 1_000
_ATTEMPTS: Final = 3


class KafkaWriter:
    """Writes events to `incidents.events`, and keeps a working producer in the background.

    A producer that failed once is discarded: with idempotence its deliveries never time out, so what it
    still holds could arrive much later, and its `stop` may hang.
    """

    def __init__(self, settings: IngestSettings) -> None:
        self._settings = settings
        self._topic = topics.prefixed(topics.EVENTS, settings.topic_prefix)
        self._lanes: Lanes | None = None
        self._connected = asyncio.Event()
        self._broken = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None
        self._closing: set[asyncio.Task[None]] = set()
        IN_FLIGHT.set_function(lambda: self._lanes.underway if self._lanes else 0)
        self._reason = "connecting to Kafka"
        self._away_since: float | None = None
        self._said_at: float | None = None

    @property
    def unready_because(self) -> str | None:
        """Why nothing can be written at the moment; None while all is well."""
        return None if self._lanes is not None else self._reason

    async def start(self, pulses: Pulses | None = None) -> None:
        """Begin to connect; returns at once, also when Kafka is away."""
        self._keeper = begin("publisher", self._keep_connected(), pulses)

    async def stop(self) -> None:
        """Close everything, within a few seconds whatever Kafka does."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait([self._keeper])
        if self._lanes is not None:
            self._discard(self._lanes, "stopping")
        if self._closing:
            await asyncio.wait(self._closing, timeout=2 * _CLOSE_WITHIN)

    async def connected(self) -> None:
        """Return when there is a connection."""
        await self._connected.wait()

    def post(self, record: codec.Record, *, urgent: bool = False) -> asyncio.Future[None]:
        """Send a record; the future is done when all in-sync replicas have it, and fails with `Undelivered`.

        What is urgent overtakes what is not.
        """
        if self._lanes is not None and self._lanes.underway < _MOST_IN_FLIGHT:
            return self._lanes.put(record, urgent=urgent)
        crowded = f"more than {_MOST_IN_FLIGHT} events wait for Kafka"
        return refused(Undelivered(self._reason if self._lanes is None else crowded))

    async def send(
        self, record: codec.Record, *, within: float = SEND_WITHIN, patient: bool = False, urgent: bool = False
    ) -> None:
        """Return when all in-sync replicas have the record; a patient one waits for Kafka to come back meanwhile.

        Raises:
            Undelivered: after at most `within` seconds. The record may arrive all the same.
        """
        last = Undelivered(self._reason)
        try:
            async with asyncio.timeout(within):
                for _ in range(_ATTEMPTS if patient else 1):
                    if patient:
                        await self._connected.wait()
                    try:
                        await self.post(record, urgent=urgent)
                    except TooLarge:
                        raise
                    except Undelivered as undelivered:
                        # Most often the producer that another event's failure has just discarded.
                        last = undelivered
                    else:
                        return
        except TimeoutError as error:
            raise Undelivered(self.unready_because or describe(error)) from error
        raise last

    def _discard(self, lanes: Lanes, reason: str) -> None:
        if lanes is self._lanes:
            self._lanes = None
            self._reason = reason
            self._connected.clear()
            self._broken.set()
            KAFKA_REACHABLE.set(0)
            lanes.close(reason)
            self._close(lanes.producer, lanes)

    def _close(self, producer: AIOKafkaProducer, lanes: Lanes | None = None) -> None:
        task = asyncio.create_task(_close(producer, lanes), name="closing a producer")
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def _keep_connected(self) -> None:
        while True:
            beat()
            if self._lanes is None:
                await self._connect()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._broken.wait(), _PROBE_EVERY if self._lanes else _RETRY_EVERY)
            self._broken.clear()
            if self._lanes is not None:
                await self._probe(self._lanes)

    async def _connect(self) -> None:
        producer = kafka.producer(self._settings)
        try:
            async with asyncio.timeout(_CONNECT_WITHIN):
                with library_cancellation_as_error():
                    await producer.start()
                    # Asked without naming the topic: a broker may create what is named, with partitions of its choice.
                    metadata = await producer.client.fetch_all_metadata()
                partitions = metadata.partitions_for_topic(self._topic)
                if not partitions:
                    raise Undelivered(f"the topic {self._topic} does not exist; create it with `rufkette topics`")
        except (TimeoutError, KafkaError, OSError, Undelivered) as error:
            self._reason = str(error) if isinstance(error, Undelivered) else describe(error)
            self._close(producer)
            self._say_unreachable()
            return
        except BaseException:
            self._close(producer)
            raise
        lanes = Lanes(producer, self._topic, len(partitions), lambda error: self._discard(lanes, describe(error)))
        self._lanes = lanes
        self._connected.set()
        KAFKA_REACHABLE.set(1)
        if self._away_since is not None:
            log.info("kafka.recovered", after_s=round(time.monotonic() - self._away_since, 1))
        self._away_since = self._said_at = None

    async def _probe(self, lanes: Lanes) -> None:
        """Notice an outage also while nobody presses, so that `/readyz` tells the truth."""
        try:
            async with asyncio.timeout(_PROBE_WITHIN):
                with library_cancellation_as_error():
                    reached = await lanes.producer.client.force_metadata_update()
        except (TimeoutError, KafkaError, OSError):
            reached = False
        if not reached and lanes.underway == 0:
            self._discard(lanes, "Kafka does not answer")

    def _say_unreachable(self) -> None:
        now = time.monotonic()
        self._away_since = self._away_since or now
        if self._said_at is None or now - self._said_at >= _SAY_EVERY:
            self._said_at = now
            log.error("kafka.unreachable", error=self._reason, since=round(now - self._away_since))


async def _close(producer: AIOKafkaProducer, lanes: Lanes | None) -> None:
    """Close a producer that may wait for ever for a broker which is away."""
    try:
        async with asyncio.timeout(_CLOSE_WITHIN):
            await producer.stop()
    except (TimeoutError, KafkaError, OSError):
        # `stop` flushes first, and has no limit; without this its sender would go on trying in the background.
        with contextlib.suppress(TimeoutError, KafkaError, OSError, asyncio.CancelledError):
            async with asyncio.timeout(_CLOSE_WITHIN):
                await producer._sender.close()  # noqa: SLF001 – the only way to end a sender without flushing
                _let_go(producer)
                await producer.client.close()
    if lanes is not None:
        await lanes.ended()


def _let_go(producer: AIOKafkaProducer) -> None:
    """End what still waits for its batches to be stored: the task of a flush that we gave up would stay for ever."""
    accumulator = producer._message_accumulator  # noqa: SLF001 – see above
    for batch in [*chain.from_iterable(accumulator._batches.values()), *accumulator._pending_batches]:  # noqa: SLF001 – see above
        accumulator._pending_batches.add(batch)  # noqa: SLF001 – its own callback takes it out, also one that it had put back
        batch.future.cancel()
