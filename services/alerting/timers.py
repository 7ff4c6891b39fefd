"""Due times are data in the incident's row: one loop takes what is due and sleeps until the earliest."""

import asyncio
import time

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from services.alerting.core.codes import code_of
from services.alerting.database import in_transaction, patiently
from services.alerting.engine import Engine
from services.alerting.mailing import troubles
from services.alerting.mailing.troubles import Trouble
from services.alerting.reading import suspects
from services.alerting.reading.suspects import DueAlone
from services.common.outage import Outage

log = structlog.get_logger()

_LONGEST_SLEEP = 1.0
_BLOCKED_SLEEP = 0.2
_ASK_EVERY = 1.0


class Timers:
    """Any number of processes may run it: each takes rows that no other holds."""

    def __init__(self, engine: Engine, database: Outage) -> None:
        self._engine = engine
        self._database = database
        self._asked = 0.0
        self._died = False

    async def run(self) -> None:
        """Fire for ever."""
        while True:
            fired = await patiently(self._database, self._fire_suspects)
            if not self._died:
                fired += await patiently(self._database, self._engine.fire)
            if fired == 0:
                await asyncio.sleep(await patiently(self._database, self._sleep))

    async def _fire_suspects(self) -> int:
        """What crashed a process may be due again: after a crash everything that is due is handled alone."""
        if time.monotonic() - self._asked >= _ASK_EVERY:
            self._died = await in_transaction(self._engine.database, suspects.somebody_died)
            self._asked = time.monotonic()
        elif not self._died:
            return 0
        fired = 0
        while await self._fire_next():
            fired += 1
        return fired

    async def _fire_next(self) -> bool:
        async with suspects.one_at_a_time:
            due = await in_transaction(self._engine.database, self._choose)
            if due is None:
                return False
            if due.minutes is not None:
                log.error("deadline.set_aside", incident_id=due.incident_id, attempts=due.attempts, minutes=due.minutes)
                return True
            fired = await patiently(self._database, lambda: self._engine.fire(alone=due.incident_id))
            await in_transaction(self._engine.database, lambda tx: suspects.clear_deadline(tx, due.incident_id))
            return fired > 0

    async def _choose(self, tx: AsyncConnection) -> DueAlone | None:
        due = await suspects.next_deadline(tx, all_of_them=self._died)
        if due is not None and due.minutes is not None:
            trouble = Trouble(
                due.site,
                "its next step ended the process three times",
                incident_id=due.incident_id,
                code=code_of(due.incident_id),
                attempts=due.attempts,
                minutes=due.minutes,
            )
            await troubles.tell(tx, trouble, self._engine.rules(), self._engine.clock())
        return due

    async def _sleep(self) -> float:
        """Seconds until the next due time, a second at most: a new one may be set meanwhile, here or elsewhere."""
        due_at = await self._engine.next_due()
        if due_at is None:
            return _LONGEST_SLEEP
        left = (due_at - self._engine.clock()).total_seconds()
        return _BLOCKED_SLEEP if left <= 0 else min(left, _LONGEST_SLEEP)
