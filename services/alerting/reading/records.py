"""Records of `incidents.events` as they come from Kafka: readable, or to be set aside with the reason."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Protocol

import structlog

from schemas import codec
from schemas.events import Event, is_in_range

log = structlog.get_logger()

_LARGEST_VALUE: Final = 512 * 1024
_LARGEST_KEY: Final = 64 * 1024
_LARGEST_HEADERS: Final = 64 * 1024
"""Bytes of a record that is set aside: Kafka takes 1 MiB, and what came compressed may be any size."""


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


@dataclass(frozen=True, slots=True)
class LetPast:
    """An event that was applied before its turn, as far as this process knows: the database has the last word."""

    event: Event


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
        return datetime.now(UTC)
    return found if is_in_range(found) else datetime.now(UTC)


def mark(record: ConsumerRecord) -> str:
    """What names a record when a partition is taken over: its event id, if it has a usable one."""
    for name, value in record.headers:
        if name == "ce_id" and value:
            return _storable(value.decode("utf-8", "replace"))
    return f"offset:{record.offset}"


def rejected(record: ConsumerRecord, reason: str) -> codec.Record:
    """The record for `incidents.events.rejected`: as it came, with the reason and where it came from.

    What is too large for Kafka is cut, and `rufkette_truncated` names what was: key, value, headers.
    """
    key, value = record.key or b"", record.value or b""
    original = [
        (_storable(name), _storable((content or b"").decode("utf-8", "replace"))) for name, content in record.headers
    ]
    kept = _within(original, _LARGEST_HEADERS)
    too_large = {"key": len(key) > _LARGEST_KEY, "value": len(value) > _LARGEST_VALUE, "headers": kept != original}
    cut = [name for name, so in too_large.items() if so]
    about = [
        ("rufkette_reason", reason[:1000]),
        ("rufkette_topic", record.topic),
        ("rufkette_partition", str(record.partition)),
        ("rufkette_offset", str(record.offset)),
    ]
    if cut:
        about.append(("rufkette_truncated", ", ".join(cut)))
    headers = tuple((name, content.encode("utf-8", "replace")) for name, content in (*kept, *about))
    return codec.Record(key[:_LARGEST_KEY], value[:_LARGEST_VALUE], headers)


def _within(headers: list[tuple[str, str]], most: int) -> list[tuple[str, str]]:
    """As many of them as fit into so many bytes; the one that does not is cut."""
    kept: list[tuple[str, str]] = []
    for name, content in headers:
        left = most - len(name.encode("utf-8", "replace"))
        if left <= 0:
            break
        fitting = content.encode("utf-8", "replace")[:left].decode("utf-8", "ignore")
        kept.append((name, fitting))
        if fitting != content:
            break
        most = left - len(fitting.encode("utf-8", "replace"))
    return kept


def _storable(text: str) -> str:
    return text.replace("\x00", "\ufffd")
