"""One event that this process answers for, in memory and as a row of the journal."""

import json
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Self

from pydantic_core import to_json

from schemas import codec
from schemas.events import Event, Mode, Reported
from schemas.urgency import PRESS, urgency_of
from services.ingest.journal.rows import Row

_CONFIRM_WITHIN: Final = 30.0
"""Seconds until a report that alerting did not confirm is published again; doubled each time."""
_CONFIRM_AT_MOST: Final = 3600.0


@dataclass(slots=True, eq=False)
class Entry:
    """One event with what is known of its way.

    `stored_at` is the wall clock (UTC) at the first acceptance, over restarts; `held_since` is the same instant by
    `time.monotonic()`, for ages that no later change of the clock may touch. `not_before` (monotonic) and
    `publications` are about publishing it again.
    """

    event: Event
    record: codec.Record
    stored_at: datetime
    urgency: int
    acknowledged_by_kafka: bool = False
    taken: bool = False
    heard: bool = False
    mailed_at: datetime | None = None
    held_since: float = field(default_factory=time.monotonic)
    is_journalled: bool = False
    is_being_sent: bool = False
    not_before: float = 0.0
    publications: int = 0
    failures: int = 0
    is_watched: bool = field(init=False)
    """Somebody has to be told of it."""

    def __post_init__(self) -> None:
        data = self.event.data
        self.is_watched = isinstance(data, Reported) and data.mode is Mode.ACTUAL and not data.learning

    @classmethod
    def of(cls, event: Event) -> Self:
        """An entry for an event that was just received."""
        return cls(event, codec.encode(event), datetime.now(UTC), urgency_of(event))

    @classmethod
    def stored(cls, row: Row) -> Self:
        """The entry that a row of the journal holds.

        Raises:
            Unreadable: this version cannot read the event.
        """
        try:
            stored_at = datetime.fromtimestamp(row.stored_at, UTC)
            mailed_at = None if row.mailed_at is None else datetime.fromtimestamp(row.mailed_at, UTC)
            headers = [(name, value.encode()) for name, value in json.loads(row.headers)]
        except (ValueError, TypeError, AttributeError, OverflowError, OSError):
            # SQLite keeps any type in any column, and this may be what was read of a damaged file.
            raise codec.Unreadable("not a row of ours") from None
        event = codec.decode(headers, row.value, arrived_at=stored_at)
        entry = cls(
            event, codec.encode(event), stored_at, urgency_of(event),
            row.acknowledged, row.taken, row.heard, mailed_at, is_journalled=True,
            held_since=time.monotonic() - max(0.0, (datetime.now(UTC) - stored_at).total_seconds()),
        )  # fmt: skip
        if entry.acknowledged_by_kafka:
            entry.await_alerting()
        return entry

    def await_alerting(self) -> None:
        """Kafka has it: give alerting its time, longer each time, before it is published again."""
        self.publications += 1
        self.not_before = time.monotonic() + min(_CONFIRM_WITHIN * 2 ** (self.publications - 1), _CONFIRM_AT_MOST)

    def fail(self) -> None:
        """Kafka refused it: others first."""
        self.failures += 1
        self.not_before = time.monotonic() + min(2.0 ** (self.failures - 1), _CONFIRM_WITHIN)

    @property
    def row(self) -> Row:
        """As the journal keeps it."""
        headers = to_json([(name, value.decode()) for name, value in self.record.headers]).decode()
        return Row(
            self.event.id, headers, self.record.value, self.stored_at.timestamp(), self.acknowledged_by_kafka,
            self.taken, self.heard, None if self.mailed_at is None else self.mailed_at.timestamp(),
        )  # fmt: skip

    @property
    def size(self) -> int:
        """Bytes of its content."""
        return len(self.record.value)

    @property
    def is_urgent(self) -> bool:
        """A real press, or what the watch has to say about presses: nothing else is to hold it up."""
        return self.urgency >= PRESS

    @property
    def rank(self) -> tuple[int, datetime]:
        """Sorts urgent first, older first within an urgency."""
        return -self.urgency, self.stored_at

    @property
    def subject(self) -> str:
        """The incident that it is about: events of one subject are never reordered."""
        return self.event.subject or self.event.id

    @property
    def is_done(self) -> bool:
        """Whether the chain has confirmed all that there is to confirm; alerting answers to reports only."""
        if not isinstance(self.event.data, Reported):
            return self.acknowledged_by_kafka
        return self.taken and (self.heard or not self.is_watched)
