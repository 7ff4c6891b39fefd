"""PostgreSQL's time, looked at now and then and continued by the monotonic clock: the same for all processes.

A step is due by the clock of who decided it, and taken by the clock of who looks. With machines whose clocks differ it
would be late by that difference, and a clock that is set back would hold up all steps until it is there again.
"""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Final

import sqlalchemy as sa
import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from services.alerting.database import patiently
from services.common.outage import Outage

log = structlog.get_logger()

_LOOK_EVERY: Final = 5.0
_QUICKLY: Final = 0.5
"""Seconds: an answer that takes longer says too little about when it was given."""
_DIFFERS: Final = timedelta(seconds=2)


def system_clock() -> datetime:
    """The machine's."""
    return datetime.now(UTC)


class DatabaseClock:
    """The machine's time until it has been looked at for the first time."""

    def __init__(self, database: AsyncEngine, outage: Outage) -> None:
        self._database = database
        self._outage = outage
        self._seen: tuple[datetime, float] | None = None
        self._differs = False

    def __call__(self) -> datetime:
        """Now, in UTC."""
        if self._seen is None:
            return system_clock()
        then, at = self._seen
        return then + timedelta(seconds=time.monotonic() - at)

    async def run(self) -> None:
        """Look for ever."""
        while True:
            await patiently(self._outage, self.look)
            await asyncio.sleep(_LOOK_EVERY)

    async def look(self) -> None:
        """Ask PostgreSQL.

        Raises:
            sqlalchemy.exc.DBAPIError, OSError, TimeoutError: it is away; the clock goes on as before.
        """
        async with self._database.connect() as connection:
            await connection.scalar(sa.text("SELECT 1"))  # connecting is not to count
            before = time.monotonic()
            then: datetime = (await connection.execute(sa.text("SELECT clock_timestamp()"))).scalar_one()
            after = time.monotonic()
        if self._seen is None or after - before < _QUICKLY:
            self._seen = (then.astimezone(UTC), (before + after) / 2)
            self._compare(self() - system_clock())

    def _compare(self, ahead: timedelta) -> None:
        differs = abs(ahead) > _DIFFERS
        if differs and not self._differs:
            log.warning("clock.differs", seconds=round(ahead.total_seconds(), 1))
        self._differs = differs
