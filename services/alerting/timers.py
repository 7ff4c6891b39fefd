"""Due times are data in the incident's row: one loop takes what is due and sleeps until the earliest."""

import asyncio

from services.alerting.database import patiently
from services.alerting.engine import Engine
from services.common.outage import Outage

_LONGEST_SLEEP = 1.0
_BLOCKED_SLEEP = 0.2


class Timers:
    """Any number of processes may run it: each takes rows that no other holds."""

    def __init__(self, engine: Engine, database: Outage) -> None:
        self._engine = engine
        self._database = database

    async def run(self) -> None:
        """Fire for ever."""
        while True:
            fired = await patiently(self._database, self._engine.fire)
            if fired == 0:
                await asyncio.sleep(await patiently(self._database, self._sleep))

    async def _sleep(self) -> float:
        """Seconds until the next due time, a second at most: a new one may be set meanwhile, here or elsewhere."""
        due_at = await self._engine.next_due()
        if due_at is None:
            return _LONGEST_SLEEP
        left = (due_at - self._engine.clock()).total_seconds()
        return _BLOCKED_SLEEP if left <= 0 else min(left, _LONGEST_SLEEP)
