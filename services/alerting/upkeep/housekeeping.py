"""What is done once in a while: forget personal data in time, drop what is no longer needed."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

import sqlalchemy as sa
import structlog
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.alerting.database import in_transaction, patiently
from services.alerting.devices import notices
from services.alerting.engine import Engine
from services.alerting.mailing import troubles
from services.alerting.mailing.outbox import give_up_recalled
from services.alerting.plans import plan_store
from services.alerting.retention import expiry, hold_store
from services.alerting.tables import events, held
from services.alerting.upkeep.repeating import repeat
from services.common.outage import Outage

log = structlog.get_logger()

EVENT_IDS_KEPT = timedelta(days=120)
"""Longer than Kafka keeps the topic (90 days), so that a replay of all of it doubles nothing."""
_EVERY = 600.0
ROUND_WITHIN = 3_600.0
"""Seconds; a round and the pause before it take less, unless it is stuck."""


async def run(engine: Engine, outage: Outage) -> None:
    """Clean for ever, every ten minutes."""
    await repeat("housekeeping", lambda: patiently(outage, lambda: clean(engine)), _EVERY)


async def clean(engine: Engine) -> None:
    """One round: expired follow-ups, old event ids, personal data and incidents past their retention."""
    now = engine.clock()
    retention = engine.rules().configuration.retention
    for event_id in await in_transaction(engine.database, lambda tx: _expire_held(tx, now)):
        log.warning("event.expired", event_id=event_id)
    await in_transaction(engine.database, lambda tx: _drop_event_ids(tx, now))
    await in_transaction(engine.database, give_up_recalled)
    await in_transaction(engine.database, lambda tx: notices.forget(tx, now - retention.personal_data))
    await in_transaction(engine.database, lambda tx: troubles.forget(tx, now - retention.personal_data))
    await in_transaction(engine.database, lambda tx: plan_store.forget(tx, now - retention.personal_data))
    await in_transaction(engine.database, lambda tx: hold_store.forget(tx, now - retention.personal_data))
    forgotten = await _all(engine.database, lambda tx: expiry.forget(tx, now, retention))
    deleted = await _all(engine.database, lambda tx: expiry.delete(tx, now, retention))
    if forgotten or deleted:
        log.info("retention.applied", forgotten=forgotten, deleted=deleted)


async def _all(database: AsyncEngine, work: Callable[[AsyncConnection], Awaitable[int]]) -> int:
    """Repeat what does some of the work until nothing is left, each time in a transaction; how much it was."""
    total = 0
    while done := await in_transaction(database, work):
        total += done
    return total


async def _expire_held(tx: AsyncConnection, now: datetime) -> list[str]:
    rows = await tx.execute(sa.delete(held).where(held.c.until < now).returning(held.c.event_id))
    return list(rows.scalars())


async def _drop_event_ids(tx: AsyncConnection, now: datetime) -> None:
    await tx.execute(sa.delete(events).where(events.c.applied_at < now - EVENT_IDS_KEPT))
