"""What waits to be written: put here by the event loop, taken by the thread that owns the file.

Nothing here waits for anything, and nothing is copied under the lock, for which both may have to wait.
"""

import asyncio
import threading
import time
from collections.abc import Collection
from typing import Final

from services.ingest.journal.rows import Row

TICK: Final = 0.5
"""Seconds until what nobody waits for is written."""

Changes = dict[str, Row | None]
"""By event id; None deletes."""


class Pending:
    """Of each event the newest row counts."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._awaited: Changes = {}
        self._later: Changes = {}
        self._later_at = 0.0
        self._waiters: list[asyncio.Future[None]] = []

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits."""
        return not self._awaited and not self._later

    def add(self, rows: Collection[Row], waiter: asyncio.Future[None]) -> None:
        """Write these at once and together; somebody waits for it."""
        with self._guard:
            for row in rows:
                self._awaited[row.event_id] = row
                self._later.pop(row.event_id, None)
            self._waiters.append(waiter)

    def put(self, *rows: Row) -> None:
        """Write these soon, together; nobody waits."""
        with self._guard:
            for row in rows:
                self._later[row.event_id] = row

    def forget(self, event_id: str) -> None:
        """Delete it soon; nobody waits."""
        with self._guard:
            self._later[event_id] = None

    def take(self, *, everything: bool) -> tuple[Changes, list[asyncio.Future[None]]]:
        """What is to be written now. The rest may wait for its tick: most of it is soon followed by a deletion."""
        now = time.monotonic()
        later: Changes = {}
        with self._guard:
            changes, self._awaited = self._awaited, {}
            waiters, self._waiters = self._waiters, []
            if everything or now - self._later_at >= TICK:
                later, self._later, self._later_at = self._later, {}, now
        changes |= later
        return changes, waiters

    def give_back(self, changes: Changes, stored: Collection[str]) -> None:
        """It could not be written: soon again. What is not stored need not be deleted, however long this lasts."""
        kept = {event_id: row for event_id, row in changes.items() if row is not None or event_id in stored}
        with self._guard:
            # What came meanwhile is newer.
            kept |= self._awaited
            kept |= self._later
            self._later = kept
