"""How much one process answers for: heartbeats give way first, and real presses may go beyond the bounds."""

import time
from typing import Final

import structlog

from schemas.events import Heartbeat
from services.ingest.journal.entry import Entry

log = structlog.get_logger()

MOST_ENTRIES: Final = 50_000
MOST_BYTES: Final = 128 * 1024 * 1024
_SHARE_OF_HEARTBEATS: Final = 0.8
_SHARE_OF_OTHERS: Final = 0.9
_SHARE_OF_PRESSES: Final = 2.0
"""What is not in the ledger is not watched, so real presses may go as far beyond its bounds again."""
_SAY_EVERY: Final = 30.0


class Room:
    """The bounds, of entries and of bytes in them."""

    def __init__(self, most_entries: int, most_bytes: int) -> None:
        self._most_entries, self._most_bytes = most_entries, most_bytes
        self._said_full_at = -_SAY_EVERY

    def is_left(self, entry: Entry, entries: int, size: int) -> bool:
        """Whether one more fits beside so many entries of so many bytes together."""
        if self._fits(entry, entries, size, _SHARE_OF_HEARTBEATS):
            return True  # as nearly always
        if isinstance(entry.event.data, Heartbeat):
            return False
        return self._fits(entry, entries, size, _SHARE_OF_PRESSES if entry.is_urgent else _SHARE_OF_OTHERS)

    def _fits(self, entry: Entry, entries: int, size: int, share: float) -> bool:
        return size + entry.size <= share * self._most_bytes and entries < share * self._most_entries

    def say_full(self, entries: int, size: int) -> None:
        """Log it, now and then."""
        now = time.monotonic()
        if now - self._said_full_at >= _SAY_EVERY:
            self._said_full_at = now
            log.error("journal.full", entries=entries, bytes=size)
