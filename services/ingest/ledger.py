"""What this process answers for: each event from its acceptance until the chain has confirmed it.

The truth is in memory; where there is a journal, each change is written through to it, so that a restart goes on
where the process ended.
"""

import time
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from schemas.events import Event, Heartbeat, Kind, Mode, Reported

_UNKNOWN_LEVEL: Final = 2


class Unjournalled(Exception):
    """The journal cannot keep the event; the message says why, without values of the event."""


@dataclass(slots=True)
class Entry:
    """One event that this process answers for.

    `stored_at` is the wall clock (UTC) at the first acceptance, over restarts; `held_since` is `time.monotonic()` of
    this process, for ages that no change of the clock may touch.
    """

    event: Event
    stored_at: datetime
    urgency: int
    acknowledged_by_kafka: bool = False
    taken: bool = False
    heard: bool = False
    mailed_at: datetime | None = None
    held_since: float = field(default_factory=time.monotonic)

    @property
    def is_watched(self) -> bool:
        """Whether somebody has to be told of it."""
        return isinstance(self.event.data, Reported) and self.event.data.mode is Mode.ACTUAL

    @property
    def is_done(self) -> bool:
        """Whether the chain has confirmed all that there is to confirm; alerting answers to reports only."""
        if not isinstance(self.event.data, Reported):
            return self.acknowledged_by_kafka
        return self.taken and (self.heard or not self.is_watched)


def urgency_of(event: Event) -> int:
    """Higher first: real presses by level, real forms, what people do, exercises, heartbeats."""
    match event.data:
        case Heartbeat():
            return 0
        case Reported(mode=Mode.EXERCISE):
            return 1
        case Reported(kind=Kind.PANIC, danger_level=level):
            return 30 + (_UNKNOWN_LEVEL if level is None else level)
        case Reported(acute=acute, danger_level=level):
            return (20 if acute else 10) + (_UNKNOWN_LEVEL if level is None else level)
        case _:
            return 15


class Ledger:
    """All entries that are not done."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}

    def find(self, event_id: str) -> Entry | None:
        """The entry of an event that is not done."""
        return self._entries.get(event_id)

    async def append(self, event: Event) -> Entry:
        """Answer for an event; returns when it is on disk. It is held in memory from the call on, whatever happens.

        Raises:
            Unjournalled: it is not on disk; the entry stays in memory until `drop`.
        """
        entry = Entry(event, datetime.now(UTC), urgency_of(event))
        self._entries[event.id] = entry
        return entry

    def unheard(self, before: datetime) -> list[Entry]:
        """Real reports that nobody is known to have heard of, stored before this instant; oldest first."""
        waiting = [e for e in self._entries.values() if e.is_watched and not e.heard and e.stored_at < before]
        return sorted(waiting, key=lambda entry: entry.stored_at)

    def untaken(self) -> list[Entry]:
        """What alerting has not confirmed; urgent first, older first within an urgency."""
        waiting = [entry for entry in self._entries.values() if not entry.taken]
        return sorted(waiting, key=lambda entry: (-entry.urgency, entry.stored_at))

    async def acknowledge(self, event_id: str) -> None:
        """Kafka has the event."""
        entry = self._entries.get(event_id)
        if entry is not None:
            entry.acknowledged_by_kafka = True
            self._settle(entry)

    async def confirm(self, *, taken: Collection[str] = (), heard: Collection[str] = ()) -> None:
        """Alerting says what it took, and what somebody was told of. Unknown ids are others' and ignored."""
        for event_id in (*taken, *heard):
            entry = self._entries.get(event_id)
            if entry is not None:
                entry.taken = True
                entry.heard = entry.heard or event_id in heard
                self._settle(entry)

    async def mailed(self, event_ids: Collection[str], at: datetime) -> None:
        """The watch mailed these itself; returns when that is on disk, so that a restart does not mail again."""
        for event_id in event_ids:
            entry = self._entries.get(event_id)
            if entry is not None:
                entry.mailed_at = at

    def _settle(self, entry: Entry) -> None:
        if entry.is_done:
            del self._entries[entry.event.id]
