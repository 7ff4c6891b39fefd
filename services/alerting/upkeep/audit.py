"""Looks each minute for what must not be – an alarm that went silent – sets it going again, and says so."""

import asyncio
from collections.abc import Sequence
from typing import Any, Final

import sqlalchemy as sa
import structlog
from prometheus_client import Counter
from sqlalchemy.ext.asyncio import AsyncConnection

from services.alerting.changes import Changes
from services.alerting.core.effects import Deadline
from services.alerting.core.incident import Status
from services.alerting.database import in_transaction, patiently
from services.alerting.engine import Engine
from services.alerting.store import from_json
from services.alerting.tables import incidents
from services.alerting.upkeep.repeating import repeat
from services.common.loops import beat
from services.common.outage import Outage

log = structlog.get_logger()

_EVERY: Final = 20
_LOOKS_BETWEEN: Final = 3
"""Sleeps of `_EVERY` seconds between two audits: a minute, and no loop is silent for so long."""
_SETTLE: Final = 5.0
"""Seconds in which the loops may handle by themselves what is overdue, as after an outage."""
_AT_ONCE: Final = 50
_SHOWN: Final = 20
_FOUND: Final = Counter("rufkette_audit_findings_total", "What the self-audit found and repaired.", ("problem",))

_ALONE = sa.text("SELECT pg_try_advisory_xact_lock(x'61756474'::int)")
_OVERDUE = sa.text("""
    SELECT id, due_at FROM incidents
    WHERE due_at < clock_timestamp() - interval '1 minute'
      AND NOT EXISTS (SELECT 1 FROM suspects WHERE kind = 'deadline' AND key = incidents.id)
    ORDER BY due_at LIMIT 200
""")
_WAITING = sa.text("""
    SELECT id, attempts FROM outbox WHERE state = 'due' AND attempt_at < clock_timestamp() - interval '1 minute'
      AND (lease_until IS NULL OR lease_until < clock_timestamp() - interval '1 minute')
    ORDER BY urgency, created_at LIMIT 200
""")
_FREE = sa.text("""
    UPDATE outbox SET lease = NULL, lease_until = NULL
    WHERE id IN (
        SELECT id FROM outbox
        WHERE state = 'due' AND lease IS NOT NULL
          AND (lease_until IS NULL OR lease_until > clock_timestamp() + interval '5 minutes')
        ORDER BY urgency, created_at LIMIT 200 FOR UPDATE SKIP LOCKED
    )
    RETURNING id
""")
# Longer than the longest delay before an attempt (`outcomes.LONGEST_DELAY`): a clock that was wrong, or damage.
_HASTEN = sa.text("""
    UPDATE outbox SET attempt_at = clock_timestamp()
    WHERE id IN (
        SELECT id FROM outbox WHERE state = 'due' AND attempt_at > clock_timestamp() + interval '5 minutes'
        ORDER BY urgency, created_at LIMIT 200 FOR UPDATE SKIP LOCKED
    )
    RETURNING id
""")
# Enough of them at the head would hold up every claim.
_WITHDRAW = sa.text("""
    UPDATE outbox SET state = 'withdrawn', lease = NULL, lease_until = NULL, answered_at = clock_timestamp(),
                      answer = 'BUG - its incident is gone'
    WHERE id IN (
        SELECT id FROM outbox
        WHERE state = 'due' AND NOT EXISTS (SELECT 1 FROM incidents WHERE incidents.id = outbox.incident_id)
        LIMIT 1000 FOR UPDATE SKIP LOCKED
    )
    RETURNING id
""")


class Audit:
    """Any number of processes may run it: one does it at a time."""

    def __init__(
        self, engine: Engine, database: Outage, settle: float = _SETTLE, every: float = _LOOKS_BETWEEN * _EVERY
    ) -> None:
        self._engine = engine
        self._database = database
        self._settle = settle
        self._sleep = every / _LOOKS_BETWEEN

    async def run(self) -> None:
        """Look for ever."""
        await repeat("audit", self._look_later, 0)

    async def _look_later(self) -> None:
        for _ in range(_LOOKS_BETWEEN):
            beat()
            await asyncio.sleep(self._sleep)
        await patiently(self._database, self.look)

    async def look(self) -> None:
        """One audit; what it finds is repaired when it returns."""
        silent, unreadable = await self._without_due_time()
        _say("no_due_time", silent)
        _say("unreadable", unreadable)
        _say("mail_held", await self._repair(_FREE))
        _say("mail_postponed", await self._repair(_HASTEN))
        _say("mail_without_incident", await self._repair(_WITHDRAW))
        overdue, waiting = await self._read(_OVERDUE), await self._read(_WAITING)
        if overdue or waiting:
            self._engine.signals.mail.set()
            beat()
            await asyncio.sleep(self._settle)
            overdue, waiting = overdue & await self._read(_OVERDUE), waiting & await self._read(_WAITING)
        _say("overdue", [id_ for id_, _ in overdue])
        for id_, _ in overdue:
            await self._engine.fire(grace=False, alone=str(id_))
        _say("mail_waiting", [id_ for id_, _ in waiting])

    async def _read(self, query: sa.TextClause) -> set[tuple[Any, Any]]:
        async def work(tx: AsyncConnection) -> set[tuple[Any, Any]]:
            return {(row[0], row[1]) for row in await tx.execute(query)} if await tx.scalar(_ALONE) else set()

        return await in_transaction(self._engine.database, work)

    async def _repair(self, statement: sa.TextClause) -> list[str]:
        async def work(tx: AsyncConnection) -> list[str]:
            return [str(id_) for id_ in (await tx.execute(statement)).scalars()] if await tx.scalar(_ALONE) else []

        return await in_transaction(self._engine.database, work)

    async def _without_due_time(self) -> tuple[list[str], list[str]]:
        """Open incidents that nothing would ever escalate: they take their next step now, as a due time does.

        Returns:
            Their ids, and those of such incidents that this version cannot read.
        """
        found: list[str] = []
        unreadable: list[str] = []

        async def work(tx: AsyncConnection, changes: Changes) -> None:
            found.clear()
            unreadable.clear()
            if not await tx.scalar(_ALONE):
                return
            for row in await tx.execute(_SILENT):
                try:
                    incident = from_json(row.state)
                except ValueError:
                    unreadable.append(row.id)
                    continue
                found.append(incident.id)
                if incident.due_at is not None:  # only its column was lost
                    own = incidents.c.id == incident.id
                    await tx.execute(sa.update(incidents).where(own).values(due_at=incident.due_at))
                else:
                    changes.decide([incident], Deadline(changes.now))

        await self._engine.commit(work)
        return found, unreadable


_SILENT = (
    sa.select(incidents.c.id, incidents.c.state)
    .where(incidents.c.status == Status.OPEN.value, incidents.c.status != Status.CLOSED.value)
    .where(incidents.c.due_at.is_(None), incidents.c.imported.is_(False))
    .order_by(incidents.c.urgency, incidents.c.opened_at)
    .limit(_AT_ONCE)
    .with_for_update(skip_locked=True)
)
"""The second condition lets the index of what is open be used."""


def _say(problem: str, ids: Sequence[object]) -> None:
    if ids:
        _FOUND.labels(problem).inc(len(ids))
        log.error("audit.found", problem=problem, count=len(ids), ids=[str(id_) for id_ in ids][:_SHOWN])
