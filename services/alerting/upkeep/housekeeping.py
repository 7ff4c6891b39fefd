"""What is done once in a while: forget personal data in time, drop what is no longer needed."""

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta

import sqlalchemy as sa
import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from schemas.configuration import Retention
from services.alerting.core.incident import Incident, Joining, Recipient
from services.alerting.core.reporting import BY_REFERENCE
from services.alerting.database import in_transaction, patiently
from services.alerting.devices import notices
from services.alerting.engine import Engine
from services.alerting.mailing import troubles
from services.alerting.mailing.outbox import give_up_recalled
from services.alerting.plans import plan_store
from services.alerting.store import from_json, to_json
from services.alerting.tables import events, held, incidents, inputs, outbox
from services.common.outage import Outage

log = structlog.get_logger()

EVENT_IDS_KEPT = timedelta(days=120)
"""Longer than Kafka keeps the topic (90 days), so that a replay of all of it doubles nothing."""
_EVERY = 600.0
ROUND_WITHIN = 3_600.0
"""Seconds; a round and the pause before it take less, unless it is stuck."""
_AT_ONCE = 200


async def run(engine: Engine, outage: Outage) -> None:
    """Clean for ever, every ten minutes."""
    while True:
        await patiently(outage, lambda: clean(engine))
        await asyncio.sleep(_EVERY)


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
    while await in_transaction(engine.database, lambda tx: _forget(tx, now, retention)):
        pass
    while await in_transaction(engine.database, lambda tx: _delete(tx, now, retention)):
        pass


async def _expire_held(tx: AsyncConnection, now: datetime) -> list[str]:
    rows = await tx.execute(sa.delete(held).where(held.c.until < now).returning(held.c.event_id))
    return list(rows.scalars())


async def _drop_event_ids(tx: AsyncConnection, now: datetime) -> None:
    await tx.execute(sa.delete(events).where(events.c.applied_at < now - EVENT_IDS_KEPT))


async def _forget(tx: AsyncConnection, now: datetime, retention: Retention) -> int:
    """Take names, addresses and free text out of incidents closed long enough ago; figures stay."""
    query = (
        sa.select(incidents.c.id, incidents.c.state)
        .where(incidents.c.closed_at < now - retention.personal_data, incidents.c.forgotten.is_(False))
        .limit(_AT_ONCE)
        .with_for_update(skip_locked=True)
    )
    rows = (await tx.execute(query)).all()
    for row in rows:
        left = without_personal_data(from_json(row.state))
        values = {"state": to_json(left), "merge_keys": list(left.keys), "forgotten": sa.true()}
        await tx.execute(sa.update(incidents).where(incidents.c.id == row.id).values(values))
    ids = [row.id for row in rows]
    await tx.execute(sa.update(inputs).where(inputs.c.incident_id.in_(ids)).values(by=None, body="{}", plans=None))
    await tx.execute(sa.delete(outbox).where(outbox.c.incident_id.in_(ids)))
    return len(ids)


async def _delete(tx: AsyncConnection, now: datetime, retention: Retention) -> int:
    old = sa.select(incidents.c.id).where(incidents.c.closed_at < now - retention.incidents).limit(_AT_ONCE)
    ids = list((await tx.execute(old)).scalars())
    for table in (outbox, inputs):
        await tx.execute(sa.delete(table).where(table.c.incident_id.in_(ids)))
    await tx.execute(sa.delete(incidents).where(incidents.c.id.in_(ids)))
    return len(ids)


def without_personal_data(incident: Incident) -> Incident:
    """The incident with everything that names or describes a person left out."""
    nobody = "–"
    return replace(
        incident,
        reports=tuple(
            replace(report, description=None, reported_by=None, reference=None, warnings=(), keys=_places(report.keys))
            for report in incident.reports
        ),
        keys=_places(incident.keys),
        told=tuple(Recipient(email=nobody, role=person.role) for person in incident.told),
        awaited=(),
        taken=replace(incident.taken, by=nobody) if incident.taken else None,
        calls=tuple(replace(call, by=nobody) for call in incident.calls),
        hand_overs=tuple(replace(hand_over, by=nobody, reference=None) for hand_over in incident.hand_overs),
        hold=replace(incident.hold, by=nobody, reason=nobody) if incident.hold else None,
        closing=replace(incident.closing, by=nobody, note=None, measures=()) if incident.closing else None,
        joined=_without_names(incident.joined, nobody) if incident.joined else None,
    )


def _places(keys: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(key for key in keys if not key.startswith(BY_REFERENCE))


def _without_names(joining: Joining, nobody: str) -> Joining:
    into = replace(joining.into, taken_by=nobody if joining.into.taken_by else None)
    return replace(joining, by=nobody, reason=nobody, into=into)
