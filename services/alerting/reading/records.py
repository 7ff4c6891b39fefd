"""Records of `incidents.events` as they come from Kafka: readable, or to be set aside with the reason."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from schemas import codec
from schemas.events import Event


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
        arrived_at = datetime.fromtimestamp(record.timestamp / 1000, UTC)
        return codec.decode(record.headers, record.value, arrived_at=arrived_at)
    except codec.Unreadable as error:
        return Unread(record, str(error))


def mark(record: ConsumerRecord) -> str:
    """What names a record when a partition is taken over: its event id, if it has a usable one."""
    for name, value in record.headers:
        if name == "ce_id" and value:
            return value.decode("utf-8", "replace").replace("\x00", "\ufffd")
    return f"offset:{record.offset}"


def rejected(record: ConsumerRecord, reason: str) -> codec.Record:
    """The record for `incidents.events.rejected`: as it came, with the reason and where it came from."""
    original = [
        (name, (value or b"").decode("utf-8", "replace").replace("\x00", "\ufffd")) for name, value in record.headers
    ]
    about = [
        ("rufkette_reason", reason[:1000]),
        ("rufkette_topic", record.topic),
        ("rufkette_partition", str(record.partition)),
        ("rufkette_offset", str(record.offset)),
    ]
    headers = tuple((name, value.encode("utf-8", "replace")) for name, value in (*original, *about))
    return codec.Record(record.key or b"", record.value or b"", headers)
