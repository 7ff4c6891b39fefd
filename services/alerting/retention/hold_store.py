"""Holds in the database: placed, ended, and which incidents they spare."""

from datetime import datetime
from typing import Final

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.alerting import store
from services.alerting.desk.holding import Hold
from services.alerting.retention.tables import retention_holds
from services.alerting.tables import incidents

_STANDS: Final = retention_holds.c.ended_at.is_(None)
# Whoever wants one incident kept wants all of the matter: also what people made part of it, made it part of, split
# off it, or split it off.
SPARED: Final[sa.ColumnElement[bool]] = sa.literal_column(
    """
    incidents.id IN (
        WITH RECURSIVE spared (id) AS (
            SELECT incident_id FROM retention_holds WHERE ended_at IS NULL
            UNION
            SELECT linked.id
            FROM spared JOIN incidents AS held ON held.id = spared.id
            CROSS JOIN LATERAL (
                SELECT jsonb_array_elements_text(held.state -> 'absorbed')
                UNION ALL SELECT jsonb_array_elements_text(held.state -> 'split')
                UNION ALL SELECT held.state #>> '{joined,into,id}'
                UNION ALL SELECT held.state ->> 'split_from'
            ) AS linked (id)
            WHERE linked.id IS NOT NULL
        )
        SELECT id FROM spared
    )
    """,
    sa.Boolean,
)
"""A condition on `incidents`: a hold spares it."""


async def keep_still(tx: AsyncConnection) -> None:
    """Until the transaction ends no hold is placed or ended: what is deleted meanwhile is deleted without one."""
    await tx.execute(sa.text("LOCK TABLE retention_holds IN SHARE MODE"))


async def place(tx: AsyncConnection, incident_id: str, *, reason: str, by: str, now: datetime) -> bool:
    """Place a hold; False if one stands already.

    Raises:
        LookupError: there is no such incident (any more).
    """
    values = {"incident_id": incident_id, "reason": reason, "by": by, "at": now}
    placed = await tx.execute(insert(retention_holds).values(values).on_conflict_do_nothing())
    # Looked for after the hold was written, which waits for whoever is deleting: it is there, and stays.
    if await tx.scalar(sa.select(incidents.c.id).where(incidents.c.id == incident_id)) is None:
        raise LookupError(incident_id)
    return bool(placed.rowcount)


async def end(tx: AsyncConnection, incident_id: str, *, by: str, now: datetime) -> bool:
    """End the hold; False if none stands."""
    standing = sa.update(retention_holds).where(retention_holds.c.incident_id == incident_id, _STANDS)
    return bool((await tx.execute(standing.values(ended_at=now, ended_by=by))).rowcount)


async def standing(tx: AsyncConnection) -> list[Hold]:
    """The holds that stand, the oldest first."""
    query = (
        sa.select(retention_holds, incidents.c.state)
        .join(incidents, incidents.c.id == retention_holds.c.incident_id)
        .where(_STANDS)
        .order_by(retention_holds.c.at, retention_holds.c.id)
    )
    return [Hold(store.from_json(row.state), row.reason, row.by, row.at) for row in await tx.execute(query)]


async def spares(tx: AsyncConnection, incident_id: str) -> bool:
    """Whether a hold keeps the incident, its own or one of an incident that it is connected with."""
    return bool(await tx.scalar(sa.select(incidents.c.id).where(incidents.c.id == incident_id, SPARED)))


async def forget(tx: AsyncConnection, before: datetime) -> None:
    """Drop holds that ended before, with the names in them."""
    await tx.execute(sa.delete(retention_holds).where(retention_holds.c.ended_at < before))
