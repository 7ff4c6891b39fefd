"""What becomes of incidents closed long ago: first their personal data goes, then they go. Holds spare them."""

from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from schemas.configuration import Retention
from services.alerting.retention import hold_store
from services.alerting.retention.personal_data import without_personal_data
from services.alerting.store import from_json, to_json
from services.alerting.tables import incidents, inputs, outbox

_AT_ONCE = 200


async def forget(tx: AsyncConnection, now: datetime, retention: Retention) -> int:
    """Take names, addresses and free text out of some incidents whose time has come; figures stay. How many."""
    await hold_store.keep_still(tx)
    query = (
        sa.select(incidents.c.id, incidents.c.state)
        .where(incidents.c.closed_at < now - retention.personal_data, incidents.c.forgotten.is_(False))
        .where(sa.not_(hold_store.SPARED))
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


async def delete(tx: AsyncConnection, now: datetime, retention: Retention) -> int:
    """Delete some incidents whose time has come, with all that belongs to them. How many."""
    await hold_store.keep_still(tx)
    old = (
        sa.select(incidents.c.id)
        .where(incidents.c.closed_at < now - retention.incidents)
        .where(sa.not_(hold_store.SPARED))
        .limit(_AT_ONCE)
    )
    ids = list((await tx.execute(old)).scalars())
    for table in (outbox, inputs):
        await tx.execute(sa.delete(table).where(table.c.incident_id.in_(ids)))
    await tx.execute(sa.delete(incidents).where(incidents.c.id.in_(ids)))
    return len(ids)
