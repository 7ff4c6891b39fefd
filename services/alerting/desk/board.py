"""What the desk reads and does, on the database."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from services.alerting import regrouping, store
from services.alerting.core.effects import WITH_A_REASON, Action, Click, Decision, Purpose
from services.alerting.core.incident import Incident
from services.alerting.core.plans import Plans
from services.alerting.desk.incidents import Arrival, Arrived, TimelineEntry
from services.alerting.engine import Engine
from services.alerting.mailing.outcomes import State
from services.alerting.plans import plan_store
from services.alerting.retention import hold_store
from services.alerting.tables import inputs, outbox

_MOST_TO_JOIN = 20
_CALLED = json.dumps({"actions": [Action.CALLED_POLICE.value]})
_EXPLAINED = tuple(reason.value for reason in WITH_A_REASON)


class Board:
    """Fulfils `desk.incidents.Incidents`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def find(self, incident_id: str) -> Incident | None:
        """One incident as it is now."""
        async with self._engine.database.connect() as connection:
            return await store.load(connection, incident_id)

    async def timeline(self, incident_id: str) -> Sequence[TimelineEntry]:
        """What happened to it, oldest first."""
        why = sa.case((inputs.c.reason.in_(_EXPLAINED), inputs.c.body["reason"].astext)).label("why")
        called = inputs.c.body.contains(sa.literal(_CALLED, JSONB)).label("called")
        chosen = sa.select(inputs.c.at, inputs.c.reason, inputs.c.by, why, called)
        query = chosen.where(inputs.c.incident_id == incident_id)
        async with self._engine.database.connect() as connection:
            rows = await connection.execute(query.order_by(inputs.c.revision))
            return [TimelineEntry(row.at, row.reason, row.by, row.why, row.called) for row in rows]

    async def arrived(self, incident: Incident) -> Mapping[str, Arrived]:
        """What became of the alarm mails, by address in lower case; without those whom none was sent to.

        Those of incidents that became part of it are among them: who was told of these is told of it.
        """
        o = outbox.c
        query = sa.select(o.recipient, o.incident_id, o.cycle, o.state, o.answered_at).where(
            o.incident_id.in_((incident.id, *incident.absorbed)), o.purpose == Purpose.ALARM.value
        )
        async with self._engine.database.connect() as connection:
            rows = (await connection.execute(query)).all()
        by_person: dict[str, dict[tuple[bool, int], list[_Mail]]] = {}
        for row in rows:
            alarms = by_person.setdefault(row.recipient.casefold(), {})
            # What was joined had its alarms before.
            alarms.setdefault((row.incident_id == incident.id, row.cycle), []).append((row.state, row.answered_at))
        found = {email: _newest(alarms) for email, alarms in by_person.items()}
        return {email: newest for email, newest in found.items() if newest}

    async def act(self, incident_id: str, click: Click) -> Decision:
        """A person's click; LookupError if there is no such incident."""
        return await self._engine.act(incident_id, click)

    async def join(self, incident_id: str, into: str, *, by: str, reason: str) -> Decision:
        """Make an incident part of another; LookupError if one of them does not exist."""
        return await regrouping.join(self._engine, incident_id, into, by=by, reason=reason)

    async def split(self, incident_id: str, event_ids: Sequence[str], *, by: str, reason: str) -> Decision:
        """Let reports be a matter of their own; LookupError if there is no such incident."""
        return await regrouping.split(self._engine, incident_id, event_ids, by=by, reason=reason)

    async def could_join(self, incident: Incident) -> Sequence[Incident]:
        """Incidents that it may be made part of, the youngest first."""
        async with self._engine.database.connect() as connection:
            return await store.could_join(connection, incident, _MOST_TO_JOIN)

    async def open(self) -> Sequence[Incident]:
        """What is not closed, worst first, then what was closed in the last 24 hours."""
        async with self._engine.database.connect() as connection:
            return await store.on_board(connection, self._engine.clock())

    async def spared(self, incident_id: str) -> bool:
        """Whether a hold keeps retention away from it."""
        async with self._engine.database.connect() as connection:
            return await hold_store.spares(connection, incident_id)

    async def plans(self) -> Plans:
        """Announced tests and planned silences that are not over."""
        async with self._engine.database.connect() as connection:
            return (await plan_store.planned(connection, self._engine.clock())).plans


_Mail = tuple[str, datetime | None]
"""The state of a mail, and when that became so for good."""


def _newest(alarms: Mapping[tuple[bool, int], Sequence[_Mail]]) -> Arrived | None:
    """What became of the newest alarm of which a mail is still wanted, or came, or failed."""
    found = [best for alarm in sorted(alarms, reverse=True) if (best := _best(alarms[alarm]))]
    if not found or found[0].how is Arrival.ACCEPTED:
        return found[0] if found else None
    return replace(found[0], earlier=next((alarm.at for alarm in found[1:] if alarm.at), None))


def _best(mails: Sequence[_Mail]) -> Arrived | None:
    taken = [at for state, at in mails if state == State.ACCEPTED and at is not None]
    if taken:
        return Arrived(Arrival.ACCEPTED, min(taken))
    states = {state for state, _ in mails}
    if State.DUE in states:
        return Arrived(Arrival.WAITING)
    return Arrived(Arrival.FAILED) if states & {State.REFUSED, State.SET_ASIDE} else None
