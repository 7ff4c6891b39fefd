"""The way to Kafka: a producer that is thrown away when it fails, and made anew in the background."""

import asyncio
import contextlib
import time
from typing import Final

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError

from schemas import codec, topics
from services.common import kafka
from services.common.loops import library_cancellation_as_error
from services.common.settings import IngestSettings
from services.ingest.loops import end_process_on_bug
from services.ingest.metrics import IN_FLIGHT, KAFKA_REACHABLE, PUBLISHING

log = structlog.get_logger()

SEND_WITHIN: Final = 1.8
"""Seconds for one event in all: several senders hang up after 5 s and never try again."""
_CONNECT_WITHIN: Final = 5.0
_PROBE_EVERY: Final = 2.0
_PROBE_WITHIN: Final = 2.0
_RETRY_EVERY: Final = 0.5
_CLOSE_WITHIN: Final = 2.0
_SAY_EVERY: Final = 30.0
_MOST_IN_FLIGHT: Final = 1_000
_ATTEMPTS: Final = 3


class Undelivered(Exception):
    """Kafka is not known to have the record; the message says why, without addresses."""


class KafkaWriter:
    """Writes events to `incidents.events`, and keeps a working producer in the background.

    A producer that failed once is discarded: with idempotence its deliveries never time out, so what it
    still holds could arrive much later, and its `stop` may hang.
    """

    def __init__(self, settings: IngestSettings) -> None:
        self._settings = settings
        self._topic = topics.prefixed(topics.EVENTS, settings.topic_prefix)
        self._producer: AIOKafkaProducer | None = None
        self._connected = asyncio.Event()
        self._broken = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None
        self._closing: set[asyncio.Task[None]] = set()
        self._in_flight = 0
        self._reason = "connecting to Kafka"
        self._away_since: float | None = None
        self._said_at: float | None = None

    @property
    def unready_because(self) -> str | None:
        """Why nothing can be written at the moment; None while all is well."""
        return None if self._producer is not None else self._reason

    async def start(self) -> None:
        """Begin to connect; returns at once, also when Kafka is away."""
        self._keeper = asyncio.create_task(self._keep_connected(), name="publisher")
        self._keeper.add_done_callback(end_process_on_bug)

    async def stop(self) -> None:
        """Close everything, within a few seconds whatever Kafka does."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.wait([self._keeper])
        if self._producer is not None:
            self._discard(self._producer, "stopping")
        if self._closing:
            await asyncio.wait(self._closing, timeout=2 * _CLOSE_WITHIN)

    async def connected(self) -> None:
        """Return when there is a connection."""
        await self._connected.wait()

    async def send(self, record: codec.Record, *, within: float = SEND_WITHIN, patient: bool = False) -> None:
        """Return when all in-sync replicas have the record; a patient one waits for Kafka to come back meanwhile.

        Raises:
            Undelivered: after at most `within` seconds. The record may arrive all the same.
        """
        if self._in_flight >= _MOST_IN_FLIGHT:
            raise Undelivered(f"more than {_MOST_IN_FLIGHT} events wait for Kafka")
        self._in_flight += 1
        IN_FLIGHT.set(self._in_flight)
        started = time.perf_counter()
        try:
            await self._deliver(record, within, patient=patient)
        finally:
            self._in_flight -= 1
            IN_FLIGHT.set(self._in_flight)
        PUBLISHING.observe(time.perf_counter() - started)

    async def _deliver(self, record: codec.Record, within: float, *, patient: bool) -> None:
        producer: AIOKafkaProducer | None = None
        try:
            async with asyncio.timeout(within):
                for attempt in range(_ATTEMPTS):
                    if patient:
                        await self._connected.wait()
                    producer = self._producer
                    if producer is None:
                        raise Undelivered(self._reason)
                    try:
                        with library_cancellation_as_error():
                            await producer.send_and_wait(
                                self._topic, value=record.value, key=record.key, headers=list(record.headers)
                            )
                    except MessageSizeTooLargeError as error:
                        raise Undelivered("Kafka takes no record of this size") from error
                    except (KafkaError, OSError) as error:
                        # Most often the producer that another event's failure has just discarded.
                        self._discard(producer, _describe(error))
                        if not patient or attempt == _ATTEMPTS - 1:
                            raise Undelivered(_describe(error)) from error
                    else:
                        return
        except TimeoutError as error:
            if producer is not None:
                self._discard(producer, _describe(error))
            raise Undelivered(self.unready_because or _describe(error)) from error

    def _discard(self, producer: AIOKafkaProducer, reason: str) -> None:
        if producer is self._producer:
            self._producer = None
            self._reason = reason
            self._connected.clear()
            self._broken.set()
            KAFKA_REACHABLE.set(0)
            self._close(producer)

    def _close(self, producer: AIOKafkaProducer) -> None:
        task = asyncio.create_task(_close(producer), name="closing a producer")
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def _keep_connected(self) -> None:
        while True:
            if self._producer is None:
                await self._connect()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._broken.wait(), _PROBE_EVERY if self._producer else _RETRY_EVERY)
            self._broken.clear()
            if self._producer is not None:
                await self._probe(self._producer)

    async def _connect(self) -> None:
        producer = kafka.producer(self._settings)
        try:
            async with asyncio.timeout(_CONNECT_WITHIN):
                with library_cancellation_as_error():
                    await producer.start()
                    # Asked without naming the topic: a broker may create what is named, with partitions of its choice.
                    metadata = await producer.client.fetch_all_metadata()
                if not metadata.partitions_for_topic(self._topic):
                    raise Undelivered(f"the topic {self._topic} does not exist; create it with `rufkette topics`")
        except (TimeoutError, KafkaError, OSError, Undelivered) as error:
            self._reason = str(error) if isinstance(error, Undelivered) else _describe(error)
            self._close(producer)
            self._say_unreachable()
            return
        except BaseException:
            self._close(producer)
            raise
        self._producer = producer
        self._connected.set()
        KAFKA_REACHABLE.set(1)
        if self._away_since is not None:
            log.info("kafka.recovered", after_s=round(time.monotonic() - self._away_since, 1))
        self._away_since = self._said_at = None

    async def _probe(self, producer: AIOKafkaProducer) -> None:
        """Notice an outage also while nobody presses, so that `/readyz` tells the truth."""
        try:
            async with asyncio.timeout(_PROBE_WITHIN):
                with library_cancellation_as_error():
                    reached = await producer.client.force_metadata_update()
        except (TimeoutError, KafkaError, OSError):
            reached = False
        if not reached and self._in_flight == 0:
            self._discard(producer, "Kafka does not answer")

    def _say_unreachable(self) -> None:
        now = time.monotonic()
        self._away_since = self._away_since or now
        if self._said_at is None or now - self._said_at >= _SAY_EVERY:
            self._said_at = now
            log.error("kafka.unreachable", error=self._reason, since=round(now - self._away_since))


def _describe(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "Kafka did not answer in time"
    return f"Kafka cannot be reached ({type(error).__name__})"


async def _close(producer: AIOKafkaProducer) -> None:
    """Close a producer that may wait for ever for a broker which is away."""
    try:
        async with asyncio.timeout(_CLOSE_WITHIN):
            await producer.stop()
    except (TimeoutError, KafkaError, OSError):
        # `stop` flushes first, and has no limit; without this its sender would go on trying in the background.
        with contextlib.suppress(TimeoutError, KafkaError, OSError, asyncio.CancelledError):
            async with asyncio.timeout(_CLOSE_WITHIN):
                await producer._sender.close()  # noqa: SLF001 – the only way to end a sender without flushing
                await producer.client.close()
