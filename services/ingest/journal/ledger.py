"""What this process answers for: each event from its acceptance until the chain has confirmed it.

The truth is in memory. An entry is on disk before its sender is answered, and deleted as soon as it is done, its texts
with it; what becomes of it in between follows in a while. So a restart goes on where the process ended, or publishes
once more what alerting will recognise.
"""

import asyncio
import contextlib
import heapq
import math
import time
from collections.abc import Callable, Collection, Iterator
from datetime import datetime
from typing import Final

import structlog

from schemas.codec import Unreadable
from schemas.events import Event, Heartbeat, Reported
from services.common.loops import succeeded
from services.ingest.journal import gauges
from services.ingest.journal.entry import Entry
from services.ingest.journal.journal import Journal, Unjournalled
from services.ingest.journal.room import MOST_BYTES, MOST_ENTRIES, Room
from services.ingest.journal.rows import Row

__all__ = ["Entry", "Ledger", "Unjournalled", "note_written"]
log = structlog.get_logger()

GIVEN_UP_AFTER: Final = 7 * 24 * 3600.0
"""Seconds; as long as a copy of the lifecycle is kept, which could still confirm an entry."""
_MAILED_WITHIN: Final = 2.0
_LOOK_AGAIN_AFTER: Final = 1.0
_WRITTEN_AFTER: Final = 30.0
"""Seconds until it is written what became of an entry: most are deleted before. Others a restart publishes again."""


class Ledger:
    """All entries that are not done. Without a journal it lives as long as its process."""

    def __init__(
        self, journal: Journal | None = None, *, most_entries: int = MOST_ENTRIES, most_bytes: int = MOST_BYTES
    ) -> None:
        self._journal = journal
        self._room = Room(most_entries, most_bytes)
        self._entries: dict[str, Entry] = {}
        self._waiting: dict[str, Entry] = {}
        self._heartbeats: dict[str, Entry] = {}
        self._unreadable: set[str] = set()
        self._changes: dict[str, tuple[float, Entry]] = {}
        """What became of entries since these instants (monotonic), and the journal does not know yet."""
        self._all_confirmed_until = 0.0
        """Before this instant (monotonic) nothing has to be published again for want of a confirmation."""
        self._bytes = 0
        gauges.show(self._entries, self._waiting)
        self.on_adopted: Callable[[], None] = lambda: None
        """Called when entries of an earlier process come in: what confirms them may have been read already."""
        self.on_held: Callable[[Event], None] = lambda _: None
        """Called with each event from when this process answers for it, also with those of an earlier one."""

    async def start(self) -> None:
        """Open the journal and take in what it holds; without a journal for now, that follows as soon as there is."""
        if self._journal is not None:
            await self._journal.start(self._take_in)

    async def stop(self) -> None:
        """Write what is left."""
        if self._journal is not None:
            self._write_changes(before=math.inf)
            await self._journal.stop()

    @property
    def problem(self) -> str | None:
        """Why nothing can be made durable at the moment; None while all is well."""
        return None if self._journal is None else self._journal.problem

    def __len__(self) -> int:
        return len(self._entries)

    def find(self, event_id: str) -> Entry | None:
        """The entry of an event that is not done."""
        return self._entries.get(event_id)

    async def append(self, event: Event) -> Entry:
        """Answer for an event; returns when it is on disk.

        Raises:
            Unjournalled: there is no space for it; or it is in memory only.
        """
        entry = self.hold(event)
        await self.write(entry)
        entry.is_journalled = True
        return entry

    def hold(self, event: Event) -> Entry:
        """Answer for an event in memory; a heartbeat gives way to anything else.

        Raises:
            Unjournalled: there is no space for it.
        """
        entry = Entry.of(event)
        self._make_room(entry)
        self._add(entry)
        return entry

    def write(self, entry: Entry) -> asyncio.Future[None]:
        """A future that is done when the entry is on disk; `note_written` is to hear of it.

        It fails with `Unjournalled`: the entry is in memory only, and goes to the disk when the journal is back.
        """
        if self._journal is None:
            nowhere: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            nowhere.set_result(None)
            return nowhere
        return self._journal.write(entry.row)

    def drop(self, entry: Entry) -> None:
        """Answer for it no longer."""
        event_id = entry.event.id
        if self._entries.get(event_id) is not entry:
            return
        del self._entries[event_id]
        self._waiting.pop(event_id, None)
        self._heartbeats.pop(event_id, None)
        self._changes.pop(event_id, None)
        self._bytes -= entry.size
        if self._journal is not None:
            self._journal.forget(event_id)

    def waiting(self, most: int, now: float) -> list[Entry]:
        """What Kafka does not have and may be tried now; urgent first, older first within an urgency."""
        due = (e for e in self._waiting.values() if e.not_before <= now and not e.is_being_sent)
        return heapq.nsmallest(most, due, key=lambda entry: entry.rank)

    def waits(self, subject: str, *, besides: Entry) -> bool:
        """Whether another event about this incident waits for Kafka, so that a later one must not overtake it."""
        return any(entry.subject == subject for entry in self._waiting.values() if entry is not besides)

    def unheard(self, before: float) -> list[Entry]:
        """Real reports that nobody is known to have heard of, held since before this instant; oldest first.

        By `time.monotonic()`, which no change of the clock touches.
        """
        waiting = [e for e in self._entries.values() if e.is_watched and not e.heard and e.held_since <= before]
        return sorted(waiting, key=lambda entry: entry.stored_at)

    def untaken(self) -> list[Entry]:
        """What alerting has not confirmed; urgent first, older first within an urgency."""
        return sorted((entry for entry in self._entries.values() if not entry.taken), key=lambda entry: entry.rank)

    def unconfirmed(self, most: int, now: float) -> list[Entry]:
        """Reports that Kafka acknowledged and alerting did not take, as far as they may be published again now."""
        if now < self._all_confirmed_until:
            return []
        unconfirmed = [
            entry
            for entry in self._entries.values()
            if entry.acknowledged_by_kafka and not entry.taken and isinstance(entry.event.data, Reported)
        ]
        due = (entry for entry in unconfirmed if entry.not_before <= now and not entry.is_being_sent)
        found = heapq.nsmallest(most, due, key=lambda entry: entry.rank)
        earliest = min((entry.not_before for entry in unconfirmed), default=math.inf)
        # While alerting is away there is always one more that is due: looking for it once a second will do.
        self._all_confirmed_until = earliest if len(found) == most else max(earliest, now + _LOOK_AGAIN_AFTER)
        return found

    def acknowledge(self, entry: Entry) -> None:
        """Kafka has the event. Its sender may have been refused, and the entry dropped, before this was known."""
        if self._entries.get(entry.event.id) is entry and not entry.acknowledged_by_kafka:
            del self._waiting[entry.event.id]
            entry.acknowledged_by_kafka = True
            entry.await_alerting()
            self._expect_confirmation(entry)
            self._changed(entry)

    def fail(self, entry: Entry) -> None:
        """Kafka refused it: others first."""
        entry.fail()
        self._expect_confirmation(entry)

    def _expect_confirmation(self, entry: Entry) -> None:
        self._all_confirmed_until = min(self._all_confirmed_until, entry.not_before)

    async def confirm(self, *, taken: Collection[str] = (), heard: Collection[str] = ()) -> None:
        """Alerting says what it took, and what somebody was told of. Unknown ids are others' and ignored."""
        for event_id in taken:
            self._confirm(event_id, heard=False)
        for event_id in heard:
            self._confirm(event_id, heard=True)

    def _confirm(self, event_id: str, *, heard: bool) -> None:
        entry = self._entries.get(event_id)
        if entry is not None and (not entry.taken or (heard and not entry.heard)):
            self._waiting.pop(event_id, None)
            entry.acknowledged_by_kafka = entry.taken = True
            entry.heard = entry.heard or heard
            self._changed(entry)

    async def mailed(self, event_ids: Collection[str], at: datetime, *news: Event) -> None:
        """The watch mailed these itself, and `news` say so; returns when both are on disk, or the disk hangs.

        In one transaction: a process that ends in between would else mail once more, or let nobody know that it did.
        """
        entries = [entry for event_id in event_ids if (entry := self._entries.get(event_id)) is not None]
        for entry in entries:
            entry.mailed_at = at
        with contextlib.suppress(Unjournalled):  # without space for the news, whoever publishes it does so at once
            entries += [self.hold(one) for one in news]
        if self._journal is not None:
            with contextlib.suppress(Unjournalled, TimeoutError):  # this process still knows
                async with asyncio.timeout(_MAILED_WITHIN):  # whoever mails must not wait for a disk that hangs
                    await self._journal.write(*(entry.row for entry in entries))
                for entry in entries:
                    entry.is_journalled = True

    def give_up(self, now: datetime) -> None:
        """Let go of what Kafka has, nobody confirmed for `GIVEN_UP_AFTER`, and the watch has mailed if it had to."""
        for entry in list(self._entries.values()):
            old = (now - entry.stored_at).total_seconds() > GIVEN_UP_AFTER
            if old and entry.acknowledged_by_kafka and (entry.mailed_at is not None or not entry.is_watched):
                log.error("entry.given_up", event_id=entry.event.id, site=entry.event.data.site)
                self.drop(entry)

    def look_after(self) -> None:
        """Hand on to the journal what it has to know by now, and have it said when the disk hangs."""
        if self._journal is not None:
            self._write_changes(before=time.monotonic() - _WRITTEN_AFTER)
            self._journal.look()

    def _add(self, entry: Entry) -> None:
        self._entries[entry.event.id] = entry
        self._bytes += entry.size
        if not entry.acknowledged_by_kafka:
            self._waiting[entry.event.id] = entry
        else:
            self._expect_confirmation(entry)
        if isinstance(entry.event.data, Heartbeat):
            self._heartbeats[entry.event.id] = entry
        self.on_held(entry.event)

    def _make_room(self, entry: Entry) -> None:
        while not self._room.is_left(entry, len(self._entries), self._bytes):
            oldest = next(iter(self._heartbeats.values()), None)
            if oldest is None or isinstance(entry.event.data, Heartbeat):
                self._room.say_full(len(self._entries), self._bytes)
                raise Unjournalled("the journal is full")
            self.drop(oldest)

    def _changed(self, entry: Entry) -> None:
        if entry.is_done:
            self.drop(entry)
        elif self._journal is not None:
            self._changes.setdefault(entry.event.id, (time.monotonic(), entry))

    def _write_changes(self, before: float) -> None:
        assert self._journal is not None
        while self._changes:
            event_id, (since, entry) = next(iter(self._changes.items()))
            if since > before:
                return
            del self._changes[event_id]
            self._journal.put(entry.row)

    def _take_in(self, rows: list[Row], first: bool) -> None:
        """The journal's file was opened: adopt what an earlier process left, and bring the file up to date."""
        assert self._journal is not None
        if adopted := list(self._adoptable(rows)) if first else []:
            self.on_adopted()
        for entry in adopted:
            self._add(entry)
        stored = {row.event_id for row in rows}
        for event_id in stored - set(self._entries) - self._unreadable:
            self._journal.forget(event_id)
        for event_id, entry in self._entries.items():
            entry.is_journalled = event_id in stored
            # After a failed fsync the file reads well out of the cache, and may be otherwise on the disk: all anew.
            if not first or not entry.is_journalled:
                self._journal.put(entry.row)
                self._changes.pop(event_id, None)
        if first and rows:
            log.info("journal.loaded", entries=len(rows) - len(self._unreadable))

    def _adoptable(self, rows: list[Row]) -> Iterator[Entry]:
        for row in rows:
            try:
                entry = Entry.stored(row)
            except Unreadable:
                # Most likely of a newer version, which will be able to read it.
                self._unreadable.add(row.event_id)
                log.exception("journal.entry_unreadable", event_id=row.event_id)
            else:
                if row.event_id not in self._entries:
                    yield entry


def note_written(entry: Entry, written: asyncio.Future[None]) -> None:
    """`Ledger.write` has ended."""
    if succeeded(written):
        entry.is_journalled = True
