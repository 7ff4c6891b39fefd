"""Rows to incidents and back: what one transaction reads, and moves (what it writes: `saving.py`)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, Final

import sqlalchemy as sa
from pydantic import TypeAdapter
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from schemas.events import Event
from services.alerting.changes import INPUT, PLANS
from services.alerting.core.decide import decide
from services.alerting.core.effects import Decision
from services.alerting.core.incident import Incident, Status
from services.alerting.core.plans import Plans
from services.alerting.core.policy import Rules
from services.alerting.reading.leases import LeaseLostError, Move
from services.alerting.tables import events, held, incidents

_INCIDENT: TypeAdapter[Incident] = TypeAdapter(Incident)
HELD_FOR = timedelta(hours=24)


def to_json(incident: Incident) -> str:
    """The state as it is stored."""
    return _INCIDENT.dump_json(incident).decode()


@lru_cache(maxsize=512)
def from_json(state: str) -> Incident:
    """The incident in a stored state; a mail's is read when it is claimed, and again when its answer is recorded."""
    return _INCIDENT.validate_json(state)


def replay(candidates: Sequence[Incident], body: str, plans: str | None, *, now: datetime, rules: Rules) -> Decision:
    """Decide a stored input of the timeline again, under the tests and silences of then."""
    in_force = PLANS.validate_json(plans) if plans else Plans()
    return decide(candidates, INPUT.validate_json(body), now=now, rules=replace(rules, plans=in_force))


_MOVED: Final = """
    UPDATE partitions SET next_offset = :end, last_event_id = coalesce(:last, last_event_id)
    WHERE topic = :topic AND partition = :partition AND owner = :owner AND next_offset = :next
    RETURNING 1
"""
# What is let past locks no row that the batches before it need: who is no longer the owner may have its events applied
# by the new one at the same time, and their ids tell.
_OURS: Final = "SELECT 1 FROM partitions WHERE topic = :topic AND partition = :partition AND owner = :owner"
_BEGIN: Final = """
    WITH moved AS ({moved}), locked AS (
        SELECT pg_advisory_xact_lock(place)
        FROM (SELECT DISTINCT hashtextextended(p, 0) AS place FROM unnest(:places) AS p ORDER BY 1) AS places
    ), fresh AS (
        INSERT INTO events (id, digest, applied_at)
        SELECT id, digest, :now FROM unnest(:ids, :digests) AS e(id, digest)
        WHERE EXISTS (SELECT 1 FROM moved) ORDER BY id
        ON CONFLICT DO NOTHING RETURNING id
    )
    SELECT EXISTS (SELECT 1 FROM moved) AS moved, ARRAY(SELECT id FROM fresh) AS fresh,
           (SELECT count(*) FROM locked) AS locked,
           EXISTS (SELECT 1 FROM held WHERE incident_id = ANY(:ids)) AS awaited
"""
_ABOUT: Final[tuple[sa.BindParameter[Any], ...]] = (
    sa.bindparam("now", type_=sa.DateTime(timezone=True)),
    *(sa.bindparam(name, type_=sa.ARRAY(sa.Text)) for name in ("places", "ids", "digests")),
)
_MOVE_ON = sa.text(_BEGIN.format(moved=_MOVED)).bindparams(sa.bindparam("last", type_=sa.Text), *_ABOUT)
_STAY = sa.text(_BEGIN.format(moved=_OURS)).bindparams(*_ABOUT)


@dataclass(frozen=True, slots=True)
class Begun:
    """`fresh` are the event ids never applied before; `awaited`: follow-ups are held for some of them."""

    fresh: set[str]
    awaited: bool


async def begin_batch(
    tx: AsyncConnection, move: Move, digests: dict[str, str], places: Iterable[str], now: datetime
) -> Begun:
    """Move the position, enter the event ids, and lock the places, in one round trip.

    The position moves by compare-and-set: the exactly-once application of events, and the fence against a zombie.
    While a place is locked no other transaction opens or merges incidents there. Of events that are let past those
    before them the position stays, and only the owner is asked for.

    Raises:
        LeaseLostError: somebody else owns the partition or has moved its position.
    """
    position = move.position
    parameters = {
        "topic": position.topic,
        "partition": position.partition,
        "owner": move.owner,
        "now": now,
        "places": sorted(set(places)),
        "ids": list(digests),
        "digests": list(digests.values()),
    }
    if move.end_offset is None:
        row = (await tx.execute(_STAY, parameters)).one()
    else:
        step = {"next": position.next_offset, "end": move.end_offset, "last": move.last_event_id}
        row = (await tx.execute(_MOVE_ON, parameters | step)).one()
    if not row.moved:
        raise LeaseLostError(f"{position.topic}/{position.partition} at {position.next_offset}")
    return Begun(set(row.fresh), row.awaited)


_LOAD = sa.text("""
    SELECT id, state FROM incidents
    WHERE id = ANY(:ids)
       OR (merge_keys && :keys AND NOT imported AND (status <> 'closed' OR closed_at >= :closed_after))
    ORDER BY id FOR UPDATE
""").bindparams(
    sa.bindparam("closed_after", type_=sa.DateTime(timezone=True)),
    *(sa.bindparam(name, type_=sa.ARRAY(sa.Text)) for name in ("ids", "keys")),
)


async def load_for_update(
    tx: AsyncConnection, ids: Iterable[str], keys: Iterable[str] = (), *, closed_after: datetime | None = None
) -> dict[str, Incident]:
    """The incidents with these ids, and those that share a merge key and are open, or were closed lately.

    Locked, in order of id.
    """
    wanted = {"ids": sorted(set(ids)), "keys": sorted(set(keys)), "closed_after": closed_after}
    if not wanted["ids"] and not wanted["keys"]:
        return {}
    return {row.id: from_json(row.state) for row in await tx.execute(_LOAD, wanted)}


async def load_where_joined(tx: AsyncConnection, known: Mapping[str, Incident]) -> dict[str, Incident]:
    """The incidents that joined ones among `known` are part of now, locked."""
    found: dict[str, Incident] = {}
    loaded: Mapping[str, Incident] = known
    while wanted := {one.joined.into.id for one in loaded.values() if one.joined} - known.keys() - found.keys():
        loaded = await load_for_update(tx, wanted)
        found |= loaded
    return found


def living(incident: Incident, known: Mapping[str, Incident]) -> Incident:
    """The incident, or the one that it became part of."""
    while incident.joined is not None and incident.joined.into.id in known:
        incident = known[incident.joined.into.id]
    return incident


_LOCK_PLACES = sa.text("""
    SELECT pg_advisory_xact_lock(place) FROM (
        SELECT DISTINCT hashtextextended(p, 0) AS place FROM incidents, unnest(merge_keys) AS p
        WHERE id = ANY(:ids) ORDER BY 1
    ) AS places
""").bindparams(sa.bindparam("ids", type_=sa.ARRAY(sa.Text)))


async def lock_places_of(tx: AsyncConnection, ids: Sequence[str]) -> None:
    """As `begin_batch` does, so that no report looks for its incident while these are regrouped."""
    await tx.execute(_LOCK_PLACES, {"ids": list(ids)})


async def could_join(tx: AsyncConnection, incident: Incident, limit: int) -> list[Incident]:
    """Incidents that this one may be made part of (see `core.joining.refusal`), the youngest first."""
    columns = incidents.c
    query = (
        sa.select(columns.state)
        .where(columns.status != Status.CLOSED.value, columns.imported.is_(incident.imported))
        .where(columns.mode == incident.mode.value, columns.id != incident.id)
        .order_by(columns.opened_at.desc(), columns.id)
        .limit(limit)
    )
    if incident.site is not None:
        query = query.where(columns.site == incident.site)
    return [from_json(row.state) for row in await tx.execute(query)]


async def digests_of(tx: AsyncConnection, ids: Iterable[str]) -> dict[str, str]:
    """What is known of these event ids, to tell a repetition from a different body under the same id."""
    rows = await tx.execute(sa.select(events.c.id, events.c.digest).where(events.c.id.in_(list(ids))))
    return {row.id: row.digest for row in rows}


async def hold(tx: AsyncConnection, events: Sequence[Event], now: datetime) -> None:
    """Keep follow-ups whose incidents are not known yet."""
    rows = [
        {
            "event_id": event.id,
            "incident_id": event.subject or "",
            "until": now + HELD_FOR,
            "event": event.model_dump_json(),
        }
        for event in events
    ]
    if rows:
        await tx.execute(insert(held).on_conflict_do_nothing(), rows)


async def release_held(tx: AsyncConnection, incident_ids: Iterable[str]) -> list[Event]:
    """Follow-ups that waited for these incidents, oldest first; they are held no longer."""
    statement = sa.delete(held).where(held.c.incident_id.in_(list(incident_ids))).returning(held.c.event)
    found = [Event.model_validate_json(row.event) for row in await tx.execute(statement)]
    return sorted(found, key=lambda event: event.time)


async def load(tx: AsyncConnection, incident_id: str) -> Incident | None:
    """One incident, without locking it."""
    state = await tx.scalar(sa.select(incidents.c.state).where(incidents.c.id == incident_id))
    return None if state is None else from_json(state)


async def on_board(tx: AsyncConnection, now: datetime) -> Sequence[Incident]:
    """What the board shows: not closed, worst first, then what was closed in the last 24 hours."""
    recent = sa.and_(incidents.c.status == Status.CLOSED.value, incidents.c.closed_at > now - timedelta(hours=24))
    closed = incidents.c.status == Status.CLOSED.value
    query = (
        sa.select(incidents.c.state)
        .where(sa.or_(incidents.c.status != Status.CLOSED.value, recent), incidents.c.imported.is_(False))
        .order_by(closed, incidents.c.urgency, incidents.c.opened_at)
        .limit(500)
    )
    return [from_json(row.state) for row in await tx.execute(query)]
