"""Records as a Kafka client hands them out."""

from dataclasses import dataclass
from typing import Any

from schemas import codec
from schemas.events import REPORTED, Event
from tests.alerting.conftest import TOPIC


@dataclass
class Record:
    """A report without content, unless said otherwise."""

    headers: Any = (("ce_specversion", b"1.0"), ("ce_id", b"a"), ("ce_source", b"b"), ("ce_type", REPORTED.encode()))
    timestamp: int = 1_767_600_000_000
    value: bytes | None = b"{}"
    topic: str = TOPIC
    partition: int = 0
    offset: int = 7
    key: bytes | None = None


def record_of(event: Event, offset: int) -> Record:
    """An event as it stands on partition 0."""
    encoded = codec.encode(event)
    return Record(encoded.headers, value=encoded.value, key=encoded.key, offset=offset)
