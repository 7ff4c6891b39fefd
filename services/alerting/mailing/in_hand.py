"""The mails that this process has claimed: which one is next, and how many more to claim before those are sent."""

import asyncio
import itertools
from collections.abc import Sequence
from datetime import datetime
from heapq import heapify, heappop, heappush
from typing import Final

from services.alerting.changes import Mail

AHEAD: Final = 0.06
"""Seconds of work to have in hand besides what is being sent, so that no connection waits for a claim."""
MOST_AHEAD: Final = 96
PATIENCE: Final = 0.5
"""Seconds after which mails that wait go back: the server is slow now, and worse ones may have come."""
_LOOK_EVERY: Final = 0.2
_MEASURE_FOR: Final = 0.05
"""Seconds at least over which the pace is measured: mails leave in bursts."""


class InHand:
    """Counts what waits and what is being sent. All times are the monotonic clock's, in seconds."""

    def __init__(self) -> None:
        self.count = 0
        """Mails that wait here or are being sent, and connections kept for mails that are being decided."""
        self.ahead = 0
        """How many to have in hand beyond the connections."""
        self._waiting: list[tuple[int, datetime, int, float, Mail]] = []  # a heap
        self._there = asyncio.Event()
        self._numbers = itertools.count()
        self._sent = 0
        self._measured_at = 0.0
        self._pace = 0.0
        self._looked_at = 0.0

    def put(self, mails: Sequence[Mail], now: float) -> None:
        """Have mails sent that are counted already."""
        for mail in mails:
            heappush(self._waiting, (mail.notify.urgency, mail.created_at, next(self._numbers), now, mail))
        if self._waiting:
            self._there.set()

    async def take(self) -> Mail:
        """The worst that waits."""
        while not self._waiting:
            self._there.clear()
            await self._there.wait()
        return heappop(self._waiting)[-1]

    def sent(self) -> None:
        """One that was taken is in hand no longer."""
        self._sent += 1
        self.count -= 1

    def look_ahead(self, now: float, *, many: bool) -> None:
        """Set `ahead` by the pace since the last time; `many`: more mails wait in the outbox than were claimed."""
        if now - self._measured_at >= _MEASURE_FOR:
            self._pace = self._sent / (now - self._measured_at)
            self._sent, self._measured_at = 0, now
        self.ahead = min(MOST_AHEAD, int(self._pace * AHEAD)) if many else 0

    def overdue(self, now: float) -> list[Mail]:
        """Those that have waited too long for a connection; they are in hand no longer."""
        if not self._waiting or now - self._looked_at < _LOOK_EVERY:
            return []
        self._looked_at = now
        overdue = [mail for *_, since, mail in self._waiting if now - since > PATIENCE]
        if overdue:
            self._waiting = [entry for entry in self._waiting if now - entry[3] <= PATIENCE]
            heapify(self._waiting)
        self.count -= len(overdue)
        return overdue
