"""Mails of ingest's watch: finds the incidents that hold the reports they were about."""

from collections.abc import Collection, Sequence
from datetime import timedelta
from uuid import NAMESPACE_OID

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from schemas.events import EmergencyMailed, Event, Reported
from schemas.ids import named_id
from services.alerting import store
from services.alerting.changes import Changes
from services.alerting.core.incident import Incident

_ASKED_ABOUT = timedelta(days=7)
"""Ingest answers for a report no longer than this."""
_WAITED = sa.text("""
    DELETE FROM held WHERE incident_id = ANY(:ids) AND jsonb_exists(event -> 'data', 'event_ids') RETURNING event
""").bindparams(sa.bindparam("ids", type_=sa.ARRAY(sa.Text)))
_HOLDERS = sa.text("""
    SELECT id FROM incidents
    WHERE opened_at >= :since AND NOT imported AND joined_into IS NULL AND EXISTS (
        SELECT 1 FROM jsonb_array_elements(state -> 'reports') AS report WHERE report ->> 'event_id' = ANY(:ids)
    )
""").bindparams(sa.bindparam("since", type_=sa.DateTime(timezone=True)), sa.bindparam("ids", type_=sa.ARRAY(sa.Text)))


async def apply(tx: AsyncConnection, changes: Changes, fresh: Sequence[Event], *, awaited: bool) -> None:
    """Decide what the emergency mails of a batch mean, and those that waited for its reports (`awaited`: some may).

    To be called when the reports of the batch are decided. A report that alerting does not know yet is waited for,
    each for itself: reports are keyed by their own place and arrive in any order.
    """
    mailed = [event for event in fresh if isinstance(event.data, EmergencyMailed)]
    if awaited:
        reports = [event.id for event in fresh if isinstance(event.data, Reported)]
        found = await tx.execute(_WAITED, {"ids": reports})
        mailed += [Event.model_validate_json(row.event) for row in found]
    if not mailed:
        return
    wanted = {id_ for event in mailed if isinstance(event.data, EmergencyMailed) for id_ in event.data.event_ids}
    holders = await look_up(tx, changes, wanted)
    unknown: list[Event] = []
    for event in sorted(mailed, key=lambda event: event.time):
        assert isinstance(event.data, EmergencyMailed)
        ids = event.data.event_ids
        for incident_id in dict.fromkeys(holders[id_] for id_ in ids if id_ in holders):
            changes.decide([changes.known[incident_id]], event)
        unknown += [_about(event, id_) for id_ in ids if id_ not in holders]
    for event in unknown:
        changes.decide([], event)
    # In one statement: after an outage of Kafka a mail may be about hundreds of reports that come behind it.
    await store.hold(tx, unknown, changes.now)


def _about(event: Event, report_id: str) -> Event:
    """The news for one report that is not known yet."""
    assert isinstance(event.data, EmergencyMailed)
    return event.model_copy(
        update={
            "id": named_id(NAMESPACE_OID, f"{event.id}/{report_id}"),
            "subject": report_id,
            "data": EmergencyMailed(event_ids=(report_id,), site=event.data.site),
        }
    )


async def look_up(tx: AsyncConnection, changes: Changes, wanted: Collection[str]) -> dict[str, str]:
    """The incident that each report belongs to now, as far as alerting has them; all of them are in `known`."""
    holders = _among(changes, wanted)
    if left := wanted - holders.keys():
        # Nearly always the first report is among them, whose id is the incident's.
        await _load(tx, changes, left)
        holders = _among(changes, wanted)
    if left := wanted - holders.keys():
        # Only what was taken can belong to one: for all others there is nothing to search.
        taken = list(await store.digests_of(tx, left))
        if taken:
            found = await tx.execute(_HOLDERS, {"ids": taken, "since": changes.now - _ASKED_ABOUT})
            await _load(tx, changes, [row.id for row in found])
            holders = _among(changes, wanted)
    return holders


async def _load(tx: AsyncConnection, changes: Changes, ids: Collection[str]) -> None:
    loaded = await store.load_for_update(tx, ids)
    changes.known = loaded | await store.load_where_joined(tx, loaded) | changes.known


def _among(changes: Changes, wanted: Collection[str]) -> dict[str, str]:
    living: list[Incident] = [one for one in changes.known.values() if one.joined is None and not one.imported]
    return {id_: one.id for one in living for id_ in one.event_ids if id_ in wanted}
