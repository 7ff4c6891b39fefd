"""Imported events in the database: what they may concern, and that they are never applied again."""

from collections.abc import Mapping, Sequence
from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from schemas.events import Event
from services.alerting.core.incident import Incident
from services.alerting.store import from_json

_OPEN_AT_MOST = timedelta(days=1)
"""How long reports at one place may follow each other and still be one incident that nobody has closed."""

_LOAD = sa.text("""
    SELECT id, state FROM incidents
    WHERE imported AND (
        merge_keys && :references
        OR merge_keys && :places AND opened_at <= :until AND coalesce(closed_at, opened_at + :open_at_most) >= :since
    ) ORDER BY id FOR UPDATE
""").bindparams(
    sa.bindparam("references", type_=sa.ARRAY(sa.Text)),
    sa.bindparam("places", type_=sa.ARRAY(sa.Text)),
    sa.bindparam("open_at_most", type_=sa.Interval),
)
_KEEP = sa.text("UPDATE events SET applied_at = 'infinity' WHERE id = ANY(:ids)").bindparams(
    sa.bindparam("ids", type_=sa.ARRAY(sa.Text))
)


async def load_for_update(
    tx: AsyncConnection, events: Sequence[Event], keys: Mapping[str, Sequence[str]], within: timedelta
) -> dict[str, Incident]:
    """The imported incidents that these imported reports may join, locked; nothing without a report.

    Bounded in time on both sides, so that importing the same year again does not load all of it with each batch.
    """
    reports = [event for event in events if keys.get(event.id)]
    if not reports:
        return {}
    every = {key for event in reports for key in keys[event.id]}
    references = {key for key in every if key.startswith(":reference/")}
    times = [event.time for event in reports]
    wanted = {
        "references": sorted(references),
        "places": sorted(every - references),
        "since": min(times) - within,
        "until": max(times) + within,
        "open_at_most": _OPEN_AT_MOST,
    }
    return {row.id: from_json(row.state) for row in await tx.execute(_LOAD, wanted)}


async def keep_ids(tx: AsyncConnection, ids: Sequence[str]) -> None:
    """A file may be imported again after years: these ids are never dropped."""
    await tx.execute(_KEEP, {"ids": list(ids)})
