"""What became of an event, as `incidents.lifecycle` tells it: a copy in memory of the last seven days."""

import asyncio
import contextlib
import time
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from schemas import codec, topics
from schemas.lifecycle import Change, Lifecycle
from services.common import kafka
from services.common.settings import IngestSettings
from services.ingest.loops import end_process_on_bug

log = structlog.get_logger()

KEPT_FOR: Final = 7 * 24 * 3600.0
"""Seconds."""
_PARTITIONS_EVERY: Final = 30.0
_PRUNE_EVERY: Final = 600.0
_POLL_MS: Final = 500
_RETRY_AFTER: Final = 1.0


class Status(StrEnum):
    """What the sender is told."""

    ACCEPTED = "accepted"
    ALERTED = "alerted"
    ACKNOWLEDGED = "acknowledged"
    CLOSED = "closed"


@dataclass(slots=True)
class _Incident:
    revision: int
    changed_at: float
    notified: bool = False
    acknowledged: bool = False
    closed: bool = False

    @property
    def status(self) -> Status:
        if self.closed:
            return Status.CLOSED
        if self.acknowledged:
            return Status.ACKNOWLEDGED
        return Status.ALERTED if self.notified else Status.ACCEPTED


@dataclass(slots=True)
class _Report:
    source: str | None
    seen_at: float
    incident_id: str | None = None


@dataclass(frozen=True, slots=True)
class Known:
    """What a sender may know of its event."""

    status: Status
    incident_id: str | None


class Statuses:
    """The copy: pure bookkeeping, filled by `Follower` and by what this process accepted itself."""

    def __init__(self) -> None:
        self._reports: dict[str, _Report] = {}
        self._incidents: dict[str, _Incident] = {}

    def accept(self, event_id: str, source: str, now: float) -> None:
        """This process took the event; alerting has not spoken of it yet."""
        report = self._reports.setdefault(event_id, _Report(source, now))
        report.source = source

    def apply(self, change: Change, data: Lifecycle, at: float) -> None:
        """Take in a change of an incident; lower revisions than the one known are old news."""
        self._join(change, data, at)
        incident = self._incidents.setdefault(data.incident_id, _Incident(data.revision, at))
        if data.revision < incident.revision:
            return
        incident.revision, incident.changed_at = data.revision, max(at, incident.changed_at)
        incident.notified = incident.notified or data.notified or change is Change.NOTIFIED
        match change:
            case Change.ACKNOWLEDGED:
                incident.acknowledged = True
            case Change.ESCALATED:
                # A step is taken only while nobody has the incident: the time of whoever had it ran out.
                incident.acknowledged = False
            case Change.CLOSED:
                incident.closed = True
            case _:
                pass

    def _join(self, change: Change, data: Lifecycle, at: float) -> None:
        speaks_for_sender = change in (Change.OPENED, Change.MERGED, Change.SUPPRESSED)
        for event_id in data.event_ids:
            # Later changes list reports of several sources, so they do not say whose this one is.
            source = data.source if speaks_for_sender or event_id == data.incident_id else None
            report = self._reports.setdefault(event_id, _Report(source, at))
            report.source = report.source or source
            report.incident_id = data.incident_id

    def find(self, event_id: str, source: str) -> Known | None:
        """What became of an event, for the source that sent it; None for anybody else's."""
        report = self._reports.get(event_id)
        if report is None or report.source != source:
            return None
        incident = self._incidents.get(report.incident_id or "")
        return Known(incident.status if incident else Status.ACCEPTED, report.incident_id)

    def prune(self, now: float) -> None:
        """Forget what nothing was heard of for `KEPT_FOR`."""
        oldest = now - KEPT_FOR
        self._incidents = {k: v for k, v in self._incidents.items() if v.changed_at > oldest}
        self._reports = {
            k: v for k, v in self._reports.items() if v.seen_at > oldest or v.incident_id in self._incidents
        }


class Follower:
    """Reads `incidents.lifecycle` from seven days ago and then on, for ever, reconnecting by itself."""

    def __init__(self, settings: IngestSettings, statuses: Statuses) -> None:
        self._settings = settings
        self._statuses = statuses
        self._topic = topics.prefixed(topics.LIFECYCLE, settings.topic_prefix)
        self._task: asyncio.Task[None] | None = None
        self._pruned_at = time.monotonic()

    async def start(self) -> None:
        """Begin to read; returns at once."""
        self._task = asyncio.create_task(self._follow(), name="lifecycle")
        self._task.add_done_callback(end_process_on_bug)

    async def stop(self) -> None:
        """Stop reading."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task], timeout=3)

    async def _follow(self) -> None:
        while True:
            consumer = kafka.consumer(self._settings)
            try:
                await consumer.start()
                await self._read(consumer)
            except (KafkaError, OSError, TimeoutError) as error:
                # The publisher says loudly that Kafka is away; here it is enough to try again.
                log.debug("lifecycle.interrupted", error=type(error).__name__)
            finally:
                with contextlib.suppress(KafkaError, OSError, TimeoutError):
                    async with asyncio.timeout(2):
                        await consumer.stop()
            await asyncio.sleep(_RETRY_AFTER)

    async def _read(self, consumer: AIOKafkaConsumer) -> None:
        assigned: set[TopicPartition] = set()
        looked_at = -_PARTITIONS_EVERY
        while True:
            if not assigned or time.monotonic() - looked_at >= _PARTITIONS_EVERY:
                assigned = await self._assign(consumer, assigned)
                looked_at = time.monotonic()
                if not assigned:
                    await asyncio.sleep(_RETRY_AFTER)
                    continue
            for records in (await consumer.getmany(timeout_ms=_POLL_MS)).values():
                for record in records:
                    self._take(record)
            if time.monotonic() - self._pruned_at >= _PRUNE_EVERY:
                self._pruned_at = time.monotonic()
                self._statuses.prune(time.time())

    async def _assign(self, consumer: AIOKafkaConsumer, assigned: set[TopicPartition]) -> set[TopicPartition]:
        """Take on every partition of the topic, each from seven days ago on."""
        # `partitions_for_topic` knows nothing before a subscription; this asks the broker, and creates nothing.
        metadata = await consumer._client.fetch_all_metadata()  # noqa: SLF001 – see above
        numbers = metadata.partitions_for_topic(self._topic) or set()
        wanted = {TopicPartition(self._topic, number) for number in numbers}
        new = wanted - assigned
        if not new:
            return assigned
        positions = {partition: await consumer.position(partition) for partition in assigned}
        since = int((time.time() - KEPT_FOR) * 1000)
        found = await consumer.offsets_for_times(dict.fromkeys(new, since))
        ends = await consumer.end_offsets(list(new))
        for partition in new:
            stamped = found.get(partition)
            positions[partition] = stamped.offset if stamped is not None else ends[partition]
        consumer.assign(list(wanted))
        for partition, offset in positions.items():
            consumer.seek(partition, offset)
        return wanted

    def _take(self, record: ConsumerRecord) -> None:
        try:
            change, data = codec.decode_lifecycle(record.headers, record.value)
        except codec.Unreadable as error:
            log.warning(
                "lifecycle.unreadable",
                topic=record.topic, partition=record.partition, offset=record.offset, reason=str(error),
            )  # fmt: skip
            return
        self._statuses.apply(change, data, record.timestamp / 1000)
