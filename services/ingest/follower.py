"""Follows `incidents.lifecycle`: what alerting made of the events, for those who ask and for the ledger."""

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import Final

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError, OffsetOutOfRangeError

from schemas import codec, topics
from schemas.lifecycle import Change
from schemas.urgency import PRESS
from services.common import kafka
from services.common.loops import Pulses, beat, library_cancellation_as_error
from services.common.settings import IngestSettings
from services.ingest.callbacks.answering import Callbacks
from services.ingest.caught_up import CaughtUp
from services.ingest.journal.ledger import Ledger
from services.ingest.loops import begin
from services.ingest.status import KEPT_FOR, Statuses
from services.ingest.watch.heard import heard

log = structlog.get_logger()

LOOP: Final = "lifecycle"
ROUND_WITHIN: Final = 300.0
"""Seconds that a round may take while Kafka is away: brokers that swallow everything are tried one after the other."""
_PARTITIONS_EVERY: Final = 30.0
_PRUNE_EVERY: Final = 600.0
_POLL_MS: Final = 500
_RETRY_AFTER: Final = 1.0


class Follower:
    """Reads `incidents.lifecycle` from seven days ago and then on, for ever, reconnecting by itself."""

    def __init__(
        self, settings: IngestSettings, statuses: Statuses, ledger: Ledger, callbacks: Callbacks | None = None
    ) -> None:
        self._settings = settings
        self._callbacks = callbacks
        self._statuses = statuses
        self._ledger = ledger
        self._topic = topics.prefixed(topics.LIFECYCLE, settings.topic_prefix)
        self.on_probed: Callable[[str], None] = lambda _: None
        """Hears of each probe of the chain that came back."""
        self._task: asyncio.Task[None] | None = None
        self._pruned_at = time.monotonic()
        self._positions: dict[TopicPartition, int] = {}
        self._looked_at: dict[TopicPartition, int] = {}
        self._ends: dict[TopicPartition, int] = {}
        self.caught_up = CaughtUp()
        # What confirms entries of an earlier process may have gone by: everything once more. Nothing counts twice.
        ledger.on_adopted = partial(self.caught_up.ask, anew=True)

    async def start(self, pulses: Pulses | None = None) -> None:
        """Begin to read; returns at once."""
        self._task = begin(LOOP, self._follow(), pulses)

    async def stop(self) -> None:
        """Stop reading."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task], timeout=3)

    async def _follow(self) -> None:
        while True:
            beat()
            consumer = kafka.consumer(self._settings)
            try:
                with library_cancellation_as_error():
                    await consumer.start()
                    await self._read(consumer)
            except OffsetOutOfRangeError:
                # Another topic of that name, or an old one: from its beginning.
                self._positions.clear()
            except (KafkaError, OSError, TimeoutError) as error:
                # The publisher says loudly that Kafka is away; here it is enough to try again.
                log.debug("lifecycle.interrupted", error=type(error).__name__)
            finally:
                self.caught_up.clear()
                await kafka.close(consumer)
            await asyncio.sleep(_RETRY_AFTER)

    async def _read(self, consumer: AIOKafkaConsumer) -> None:
        assigned: set[TopicPartition] = set()
        looked_at = -_PARTITIONS_EVERY
        while True:
            beat()
            if self.caught_up.anew:
                self.caught_up.anew = False
                self._positions.clear()
                assigned = set()
            is_due = time.monotonic() - looked_at >= _PARTITIONS_EVERY
            if is_due and assigned and self._hangs():
                raise TimeoutError
            if is_due or not assigned or self.caught_up.is_asked:
                self.caught_up.is_asked = False  # who asks from here on asks for another look
                assigned = await self._assign(consumer, assigned)
                looked_at = time.monotonic()
                if not assigned:
                    await asyncio.sleep(_RETRY_AFTER)
                    continue
            for partition, records in (await consumer.getmany(timeout_ms=_POLL_MS)).items():
                for record in records:
                    beat()
                    await self._take(record)
                    await asyncio.sleep(0)  # presses go on meanwhile
                self._positions[partition] = records[-1].offset + 1
            if not self.caught_up.is_asked and self._is_at_end():
                self.caught_up.set()
            if time.monotonic() - self._pruned_at >= _PRUNE_EVERY:
                self._pruned_at = time.monotonic()
                self._statuses.prune(time.time())

    async def _assign(self, consumer: AIOKafkaConsumer, assigned: set[TopicPartition]) -> set[TopicPartition]:
        """Take on every partition of the topic, each where we were, or from seven days ago on."""
        # `partitions_for_topic` knows nothing before a subscription; this asks the broker, and creates nothing.
        metadata = await consumer._client.fetch_all_metadata()  # noqa: SLF001 – see above
        numbers = metadata.partitions_for_topic(self._topic) or set()
        wanted = {TopicPartition(self._topic, number) for number in numbers}
        if not wanted:
            return assigned
        self._ends = await consumer.end_offsets(list(wanted))
        if wanted != assigned:
            self._positions |= await self._beginnings(consumer, wanted - set(self._positions))
            consumer.assign(list(wanted))
            for partition in wanted:
                consumer.seek(partition, self._positions[partition])
        self._looked_at = dict(self._positions)
        return wanted

    async def _beginnings(self, consumer: AIOKafkaConsumer, new: set[TopicPartition]) -> dict[TopicPartition, int]:
        if not new:
            return {}
        since = int((time.time() - KEPT_FOR) * 1000)
        found = await consumer.offsets_for_times(dict.fromkeys(new, since))
        return {
            partition: stamped.offset if (stamped := found.get(partition)) is not None else self._ends[partition]
            for partition in new
        }

    def _hangs(self) -> bool:
        """Whether nothing was read since the last look, though there was something."""
        return self._positions == self._looked_at and not self._is_at_end()

    def _is_at_end(self) -> bool:
        return all(self._positions.get(partition, 0) >= end for partition, end in self._ends.items())

    async def _take(self, record: ConsumerRecord) -> None:
        try:
            change, data = codec.decode_lifecycle(record.headers, record.value)
        except codec.Unreadable as error:
            log.warning(
                "lifecycle.unreadable",
                topic=record.topic, partition=record.partition, offset=record.offset, reason=str(error),
            )  # fmt: skip
            return
        if change is Change.PROBED:
            self.on_probed(data.incident_id)
            return
        self._statuses.apply(change, data, record.timestamp / 1000)
        if self._callbacks is not None:
            await self._callbacks.take_word(data.event_ids)
        await self._ledger.confirm(taken=data.event_ids, heard=heard(change, data, self._is_press))

    def _is_press(self, event_id: str) -> bool:
        entry = self._ledger.find(event_id)
        return entry is not None and entry.urgency >= PRESS
