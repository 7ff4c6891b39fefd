"""Events that come again: each is applied once, whatever comes under its id later."""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta

import sqlalchemy as sa
import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from schemas.events import Event, Reported
from schemas.lifecycle import Change
from services.alerting import store
from services.alerting.changes import Changes
from services.alerting.core.effects import Relay
from services.alerting.core.escalation import relay
from services.alerting.core.incident import Incident
from services.alerting.core.reporting import PLANNED_SILENCE

log = structlog.get_logger()

_ASKED_ABOUT = timedelta(days=7)
"""Ingest answers for a report no longer than this."""
_HOLDERS = sa.text("""
    SELECT state FROM incidents
    WHERE (id = ANY(:ids) OR merge_keys && :keys) AND opened_at >= :since AND NOT imported
""").bindparams(
    sa.bindparam("since", type_=sa.DateTime(timezone=True)),
    *(sa.bindparam(name, type_=sa.ARRAY(sa.Text)) for name in ("ids", "keys")),
)


async def first_of_each(
    tx: AsyncConnection, events: Sequence[Event], new: set[str], let_past: Collection[str]
) -> tuple[list[Event], list[Event]]:
    """The events that were never applied, each once, in their order; and the others, which are logged.

    Of those that were let past nobody needs to hear: that is no repetition.
    """
    fresh: list[Event] = []
    repeated: list[Event] = []
    for event in events:
        if event.id in new:
            fresh.append(event)
            new.discard(event.id)
        elif event.id not in let_past:
            repeated.append(event)
    if repeated:
        first = await store.digests_of(tx, {event.id for event in repeated})
        for event in repeated:
            differs = first.get(event.id) != digest(event)
            log.info("event.duplicate", event_id=event.id, source=event.source, differs=differs)
    return fresh, repeated


async def tell_again(
    tx: AsyncConnection, changes: Changes, repeated: Sequence[Event], keys: Mapping[str, Sequence[str]]
) -> None:
    """Say on the lifecycle once more where reports are that came again.

    An ingest publishes again what the lifecycle did not confirm: if that was lost, it would ask for ever, and mail the
    emergency contacts by itself.

    Args:
        tx: the transaction that met them.
        changes: takes what is to be said.
        repeated: events that were applied before.
        keys: the merge keys of reports by event id.
    """
    since = changes.now - _ASKED_ABOUT
    reports = [e for e in repeated if isinstance(e.data, Reported) and not e.imported and e.time >= since]
    if not reports:
        return
    wanted = {"ids": [e.id for e in reports], "keys": sorted({key for e in reports for key in keys[e.id]})}
    found = await tx.execute(_HOLDERS, wanted | {"since": since - _ASKED_ABOUT})
    holders = [store.from_json(row.state) for row in found]
    for event in reports:
        holder = next((i for i in holders if i.joined is None and event.id in i.event_ids), None)
        if holder is not None:
            changes.relay(holder, _where(holder, event))


def _where(holder: Incident, event: Event) -> Relay:
    if holder.hold is not None and not holder.notified:
        return relay(holder, Change.SUPPRESSED, event_ids=(event.id,), source=event.source, reason=PLANNED_SILENCE)
    return relay(holder, Change.MERGED, event_ids=(event.id,), source=event.source)


def digest(event: Event) -> str:
    """What tells a repetition from a different event under the same id."""
    # JSON of the data alone: the envelope's time differs when a sender repeats itself. Ids of learning have their own.
    return hashlib.sha256(event.data.model_dump_json(exclude={"learning"}).encode()).hexdigest()
