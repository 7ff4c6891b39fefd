"""Records of `incidents.events` as they come from Kafka: readable, or to be set aside with the reason."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

import structlog

from schemas import codec
from schemas.events import EARLIEST, LATEST, Event

log = structlog.get_logger()


class ConsumerRecord(Protocol):
    """What we use of the Kafka client's record."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: codec.Headers


@dataclass(frozen=True, slots=True)
class Unread:
    """A record that cannot be read, and why."""

    record: ConsumerRecord
    reason: str


def read(record: ConsumerRecord) -> Event | Unread:
    """The event in a record, or why there is none."""
    try:
        return codec.decode(record.headers, record.value, arrived_at=_arrived_at(record))
    except codec.Unreadable as error:
        return Unread(record, str(error))
    except Exception as error:
        # A bug, but of this record: a process that ended here would end here again, and so would every other one.
        log.exception("record.unforeseen", topic=record.topic, partition=record.partition, offset=record.offset)
        return Unread(record, f"reading it failed ({type(error).__name__})")


def _arrived_at(record: ConsumerRecord) -> datetime:
    try:
        found = datetime.fromtimestamp(record.timestamp / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        found = LATEST
    return found if EARLIEST <= found < LATEST else datetime.now(UTC)


def mark(record: ConsumerRecord) -> str:
    """What names a record when a partition is taken over: its event id, if it has a usable one."""
    for name, value in record.headers:
        if name == "ce_id" and value:
            return _storable(value.decode("utf-8", "replace"))
    return f"offset:{record.offset}"


def rejected(record: ConsumerRecord, reason: str) -> codec.Record:
    """The record for `incidents.events.rejected`: as it came, with the reason and where it came from."""
    original = [
        (_storable(name), _storable((value or b"").decode("utf-8", "replace"))) for name, value in record.headers
    ]
    about = [
        ("rufkette_reason", reason[:1000]),
        ("rufkette_topic", record.topic),
        ("rufkette_partition", str(record.partition)),
        ("rufkette_offset", str(record.offset)),
    ]
    headers = tuple((name, value.encode("utf-8", "replace")) for name, value in (*original, *about))
    return codec.Record(record.key or b"", record.value or b"", headers)


def _storable(text: str) -> str:
    return text.replace("\x00", "\ufffd")
