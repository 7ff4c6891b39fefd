"""Announcing tests and planning silences: what the page and the command line do, on the database."""

from collections.abc import Callable
from datetime import datetime

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from services.alerting.clock import system_clock
from services.alerting.core.plans import AnnouncedTest, Silence
from services.alerting.database import in_transaction, patiently
from services.alerting.desk.planning import Planned
from services.alerting.engine import Engine
from services.alerting.plans import plan_store
from services.alerting.plans.plan_store import InForce
from services.alerting.upkeep.repeating import repeat
from services.common.outage import Outage

log = structlog.get_logger()

_EVERY = 1.0


async def run(engine: Engine, outage: Outage) -> None:
    """End silences for ever: what they held back is told within about a second."""

    async def end_all() -> None:
        while await patiently(outage, engine.end_silences):
            pass

    await repeat("silences", end_all, _EVERY)


class Planning:
    """Fulfils `desk.planning.Planning`.

    Every method raises sqlalchemy.exc.DBAPIError or OSError when the database cannot be reached; then nothing was
    written.
    """

    def __init__(
        self,
        database: AsyncEngine,
        in_force: InForce | None = None,
        clock: Callable[[], datetime] = system_clock,
    ) -> None:
        self._database = database
        self._in_force = in_force
        self._clock = clock

    async def planned(self) -> Planned:
        """What is running or to come."""
        async with self._database.connect() as connection:
            return await plan_store.planned(connection, self._clock())

    async def announce(self, test: AnnouncedTest) -> None:
        """From its beginning on, presses of these devices are marked as a test."""
        await in_transaction(self._database, lambda tx: plan_store.add_test(tx, test))
        self._changed()
        minutes = round((test.ends_at - test.starts_at).total_seconds() / 60)
        log.info("test.announced", test_id=test.id, site=test.site, devices=len(test.devices), minutes=minutes)

    async def silence(self, silence: Silence) -> None:
        """From its beginning on, harmless forms wait until its end."""
        await in_transaction(self._database, lambda tx: plan_store.add_silence(tx, silence))
        self._changed()
        minutes = round((silence.ends_at - silence.starts_at).total_seconds() / 60)
        log.info("silence.planned", silence_id=silence.id, site=silence.site, device=silence.device, minutes=minutes)

    async def end(self, plan_id: str, by: str) -> bool:
        """End a test or a silence now; False if there is none that is not over."""
        now = self._clock()
        kind = await in_transaction(self._database, lambda tx: plan_store.end(tx, plan_id, by, now))
        if kind is not None:
            log.info("plan.ended", plan_id=plan_id, kind=kind)
        return kind is not None

    def _changed(self) -> None:
        if self._in_force is not None:
            self._in_force.forget()
