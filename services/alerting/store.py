"""Rows to incidents and back: what one transaction reads and writes."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa
from pydantic import TypeAdapter
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from schemas.events import Event
from services.alerting.changes import INPUT, Changes
from services.alerting.core.decide import decide
from services.alerting.core.effects import Decision, Purpose
from services.alerting.core.incident import Incident, Status
from services.alerting.core.policy import Rules
from services.alerting.tables import events, held, incidents, inputs, outbox, relay

_INCIDENT: TypeAdapter[Incident] = TypeAdapter(Incident)
HELD_FOR = timedelta(hours=24)


def to_json(incident: Incident) -> str:
    """The state as it is stored."""
    return _INCIDENT.dump_json(incident).decode()


def from_json(state: str) -> Incident:
    """The incident in a stored state."""
    return _INCIDENT.validate_json(state)


def replay(candidates: Sequence[Incident], body: str, *, now: datetime, rules: Rules) -> Decision:
    """Decide a stored input of the timeline again."""
    return decide(candidates, INPUT.validate_json(body), now=now, rules=rules)


async def lock_places(tx: AsyncConnection, keys: Iterable[str]) -> None:
    """Let no other transaction open or merge incidents at these places until this one ends."""
    wanted = sorted(set(keys))
    if wanted:
        numbers = sa.func.hashtextextended(sa.func.unnest(sa.cast(wanted, sa.ARRAY(sa.Text))), 0)
        await tx.execute(sa.select(sa.func.pg_advisory_xact_lock(numbers)))


async def load_for_update(
    tx: AsyncConnection, ids: Iterable[str], place_keys: Iterable[str] = ()
) -> dict[str, Incident]:
    """The incidents with these ids, and those at these places that are not closed; locked, in order of id."""
    by_id, by_place = sorted(set(ids)), sorted(set(place_keys))
    if not by_id and not by_place:
        return {}
    here = sa.and_(incidents.c.place_key.in_(by_place), incidents.c.status != Status.CLOSED.value)
    query = (
        sa.select(incidents.c.id, incidents.c.state)
        .where(sa.or_(incidents.c.id.in_(by_id), here))
        .order_by(incidents.c.id)
        .with_for_update()
    )
    return {row.id: from_json(row.state) for row in await tx.execute(query)}


async def register_events(tx: AsyncConnection, digests: dict[str, str], now: datetime) -> set[str]:
    """Enter event ids; returns those that were not known before."""
    rows = [{"id": id_, "digest": digest, "applied_at": now} for id_, digest in sorted(digests.items())]
    statement = insert(events).values(rows).on_conflict_do_nothing().returning(events.c.id)
    return set((await tx.execute(statement)).scalars())


async def digests_of(tx: AsyncConnection, ids: Iterable[str]) -> dict[str, str]:
    """What is known of these event ids, to tell a repetition from a different body under the same id."""
    rows = await tx.execute(sa.select(events.c.id, events.c.digest).where(events.c.id.in_(list(ids))))
    return {row.id: row.digest for row in rows}


async def hold(tx: AsyncConnection, event: Event, now: datetime) -> None:
    """Keep a follow-up whose incident is not known yet."""
    row = {
        "event_id": event.id,
        "incident_id": event.subject or "",
        "until": now + HELD_FOR,
        "event": event.model_dump_json(),
    }
    await tx.execute(insert(held).values(row).on_conflict_do_nothing())


async def release_held(tx: AsyncConnection, incident_ids: Iterable[str]) -> list[Event]:
    """Follow-ups that waited for these incidents, oldest first; they are held no longer."""
    statement = sa.delete(held).where(held.c.incident_id.in_(list(incident_ids))).returning(held.c.event)
    found = [Event.model_validate_json(row.event) for row in await tx.execute(statement)]
    return sorted(found, key=lambda event: event.time)


async def save(tx: AsyncConnection, changes: Changes) -> None:
    """Write everything gathered; rows that exist already are the same decision, made before."""
    if changes.changed:
        await _upsert_incidents(tx, changes.changed.values())
    if changes.timeline:
        await tx.execute(sa.insert(inputs), changes.timeline)
    if changes.withdrawn:
        await _withdraw(tx, changes.withdrawn)
    if changes.mails:
        await tx.execute(insert(outbox).on_conflict_do_nothing(), list(changes.mails.values()))
    if changes.relayed:
        await tx.execute(sa.insert(relay), changes.relayed)


async def _upsert_incidents(tx: AsyncConnection, changed: Iterable[Incident]) -> None:
    rows = [
        {
            "id": incident.id,
            "site": incident.site,
            "place_key": incident.place_key,
            "mode": incident.mode.value,
            "status": incident.status.value,
            "urgency": incident.urgency,
            "due_at": incident.due_at,
            "opened_at": incident.opened_at,
            "closed_at": incident.closing.at if incident.closing else None,
            "revision": incident.revision,
            "imported": incident.imported,
            "state": to_json(incident),
        }
        for incident in sorted(changed, key=lambda i: i.id)
    ]
    statement = insert(incidents)
    changing = ("status", "urgency", "due_at", "closed_at", "revision", "state")
    upsert = statement.on_conflict_do_update(
        index_elements=["id"], set_={name: statement.excluded[name] for name in changing}
    )
    await tx.execute(upsert, rows)


async def _withdraw(tx: AsyncConnection, incident_ids: Iterable[str]) -> None:
    """Mails that a mailer is sending right now are past recall; all others are."""
    unclaimed = sa.or_(outbox.c.lease_until.is_(None), outbox.c.lease_until < sa.func.clock_timestamp())
    statement = (
        sa.update(outbox)
        .where(outbox.c.incident_id.in_(list(incident_ids)), outbox.c.purpose == Purpose.ALARM.value)
        .where(outbox.c.state == "due", unclaimed)
        .values(state="withdrawn")
    )
    await tx.execute(statement)


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
