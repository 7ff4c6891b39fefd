"""The shell around `decide`: load and lock what an input concerns, decide, store everything in one commit."""

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

import sqlalchemy as sa
import structlog
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from schemas import codec, topics
from schemas.events import EmergencyMailed, Event, Probe, Reported
from services.alerting import emergencies, one_trip, plain_presses, saving, store
from services.alerting.candidates import Candidates
from services.alerting.changes import Changes
from services.alerting.clock import system_clock
from services.alerting.core.devices import signs_in
from services.alerting.core.effects import Action, Click, Deadline, Decision, Reason, SilenceEnded
from services.alerting.core.incident import Incident
from services.alerting.core.learning import keys_of
from services.alerting.core.policy import Rules
from services.alerting.core.summary import held_back
from services.alerting.database import in_transaction
from services.alerting.handover import Handover, Senders
from services.alerting.journeys import log_decision
from services.alerting.lull import Lull
from services.alerting.plans import plan_store
from services.alerting.reading.leases import Move, Position
from services.alerting.reading.repeats import digest, first_of_each, tell_again
from services.alerting.signals import Signals
from services.alerting.tables import incidents, partitions, suspects
from services.alerting.upkeep import past

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Batch:
    """Records of one partition: readable events, ids of those that were let past, and what has to be set aside."""

    position: Position
    end_offset: int | None  # None: they are let past others, and the position stays
    last_event_id: str | None
    events: Sequence[Event]
    rejected: Sequence[codec.Record] = ()
    let_past: frozenset[str] = frozenset()


class Engine:
    """Applies inputs to incidents. Safe to call from several loops and several processes at once.

    Every method raises sqlalchemy.exc.DBAPIError or OSError when the database refuses or cannot be reached; then
    nothing was written.
    """

    def __init__(
        self,
        database: AsyncEngine,
        rules: Callable[[], Rules],
        *,
        topic_prefix: str = "",
        clock: Callable[[], datetime] = system_clock,
        apart: AsyncEngine | None = None,
    ) -> None:
        self.database = database
        self.apart = apart or database
        """For what says that this process lives: however many pages are asked for, it waits behind none of them."""
        self.rules = rules
        self.clock = clock
        self.topic_prefix = topic_prefix
        self.signals = Signals()
        self.lull = Lull()
        self.senders: Senders | None = None
        self.plans = plan_store.InForce()
        self._guess = plain_presses.Guess()

    async def apply(self, batch: Batch, owner: str) -> None:
        """Apply a batch of records and move the position, in one commit.

        Raises:
            LeaseLostError: the partition is no longer `owner`'s; nothing was written.
        """
        move = Move(batch.position, owner, batch.end_offset, batch.last_event_id)
        with self.lull.alarm():
            await self._apply(batch, move)

    async def _apply(self, batch: Batch, move: Move) -> None:
        if move.end_offset is not None and not batch.rejected and await self._apply_plain(batch, move):
            return

        async def work(tx: AsyncConnection, changes: Changes) -> None:
            for record in batch.rejected:
                changes.publish(topics.REJECTED, record)
            await self._apply_events(tx, changes, batch, move)

        await self.commit(work)

    async def _apply_plain(self, batch: Batch, move: Move) -> bool:
        """Whether it could be done so; else nothing was written, and the way with locks finds out what there is."""
        left = [event for event in batch.events if event.id not in batch.let_past]
        if not plain_presses.is_plain(left):
            return False
        work = partial(plain_presses.apply, events=left, move=move, let_past=batch.let_past)
        for guessing in (False,) if batch.let_past else self._guess.ways(left):
            if await self.in_one_trip(partial(work, guessing=guessing)):
                return True
        return False

    async def _apply_events(self, tx: AsyncConnection, changes: Changes, batch: Batch, move: Move) -> None:
        digests = {event.id: digest(event) for event in reversed(batch.events)}
        keys = {e.id: keys_of(e, changes.rules) for e in batch.events if isinstance(e.data, Reported)}
        wanted = {key for of_one in keys.values() for key in of_one}
        begun = await store.begin_batch(tx, move, digests, wanted, changes.now)
        fresh, repeated = await first_of_each(tx, batch.events, begun.fresh, batch.let_past)
        await tell_again(tx, changes, repeated, keys)
        if keys:
            plans = await self.plans.look(tx, changes.now)
            changes.rules = replace(changes.rules, plans=plans)
        changes.probes = [event for event in fresh if isinstance(event.data, Probe)]
        changes.signs = signs_in(fresh, changes.rules.configuration, changes.now)
        subjects = [event.subject for event in fresh if event.subject]
        closed_after = changes.now - changes.rules.configuration.merge.within
        live = {key for event in fresh if not event.imported for key in keys.get(event.id, ())}
        changes.known = await store.load_for_update(tx, subjects, live, closed_after=closed_after)
        if imported := [event for event in fresh if event.imported]:
            changes.known |= await past.load_for_update(tx, imported, keys, changes.rules.configuration.merge.within)
            await past.keep_ids(tx, [event.id for event in imported])
        changes.known |= await store.load_where_joined(tx, changes.known)
        follow_ups = [e for e in fresh if not isinstance(e.data, Reported | EmergencyMailed)]
        if strange := {e.subject for e in follow_ups if e.subject} - changes.known.keys():
            await emergencies.look_up(tx, changes, strange)
        candidates = Candidates(changes.known)
        taken: list[str] = []
        early: list[Event] = []
        for event in fresh:
            if isinstance(event.data, EmergencyMailed):
                continue
            decision = changes.decide(candidates.of(event, keys.get(event.id, ()), changes.known), event)
            if decision.incident is not None:
                candidates.note(decision.incident)
            if decision.reason is Reason.HELD:
                early.append(event)
            elif decision.incident is not None and isinstance(event.data, Reported):
                taken.append(event.id)
        await store.hold(tx, early, changes.now)
        awaited = begun.awaited or bool(early)
        await plan_store.record_tests(tx, changes.journeys)
        for event in await store.release_held(tx, taken) if awaited else ():
            changes.decide(candidates.of(event, (), changes.known), event)
        await emergencies.apply(tx, changes, fresh, awaited=awaited)

    async def fire(self, limit: int = 50, *, grace: bool = True, alone: str | None = None) -> int:
        """Handle incidents whose due time has come, or `alone` the one with this id; returns how many.

        Rows that others hold are left to them. With `grace` a due time waits, for 10 s at most, until all records on
        Kafka are read: an acknowledgement may be among them.
        """

        async def work(tx: AsyncConnection, changes: Changes) -> None:
            for incident in await self._due(tx, changes.now, limit, grace=grace, alone=alone):
                assert incident.due_at is not None
                changes.decide([incident], Deadline(incident.due_at))

        return len((await self.commit(work)).journeys)

    async def _due(
        self, tx: AsyncConnection, now: datetime, limit: int, *, grace: bool, alone: str | None
    ) -> list[Incident]:
        query = sa.select(incidents.c.state).where(incidents.c.due_at <= now)
        suspected = sa.exists().where(suspects.c.kind == "deadline", suspects.c.key == incidents.c.id)
        query = query.where(sa.not_(suspected) if alone is None else incidents.c.id == alone)
        if grace:
            topic = topics.prefixed(topics.EVENTS, self.topic_prefix)
            clock = sa.func.clock_timestamp()
            long_ago = sa.func.coalesce(partitions.c.caught_up_at, sa.text("'-infinity'::timestamptz"))
            behind = sa.exists().where(partitions.c.topic == topic, long_ago < clock - sa.text("interval '3 seconds'"))
            waited = incidents.c.due_at <= clock - sa.text("interval '10 seconds'")
            query = query.where(sa.or_(sa.not_(behind), waited))
        query = query.order_by(incidents.c.urgency, incidents.c.due_at).limit(limit).with_for_update(skip_locked=True)
        return [store.from_json(row.state) for row in await tx.execute(query)]

    async def end_silences(self, limit: int = 100) -> bool:
        """Tell what ended silences held back: each incident as if it opened now, and once a summary of all.

        Returns:
            Whether there is more to do than fits into one transaction.
        """
        ended: list[tuple[str, int]] = []
        more = False

        async def work(tx: AsyncConnection, changes: Changes) -> None:
            nonlocal more
            ended.clear()
            silence_id = await plan_store.next_ended(tx, changes.now)
            more = silence_id is not None
            if silence_id is None:
                return
            waiting = await plan_store.still_held(tx, silence_id, limit)
            for incident in waiting:
                changes.decide([incident], SilenceEnded(silence_id))
            if len(waiting) < limit:
                ended.append((silence_id, await _summarise(tx, changes, silence_id)))
                await plan_store.mark_told(tx, silence_id, changes.now)

        await self.commit(work)
        for silence_id, count in ended:
            log.info("silence.ended", silence_id=silence_id, held_back=count)
        return more

    async def next_due(self) -> datetime | None:
        """The earliest due time of all incidents."""
        async with self.database.connect() as connection:
            found: datetime | None = await connection.scalar(sa.select(sa.func.min(incidents.c.due_at)))
            return found

    async def act(self, incident_id: str, click: Click) -> Decision:
        """A person's click; about an incident that was joined, all but the end concerns the one that goes on.

        Raises:
            LookupError: there is no such incident.
        """

        async def work(tx: AsyncConnection, changes: Changes) -> None:
            known = await store.load_for_update(tx, [incident_id])
            known |= await store.load_where_joined(tx, known)
            # Nobody ends what they have not seen; whatever else they do counts where it goes on.
            ends = Action.CLOSE in click.actions
            changes.decide([known[incident_id] if ends else store.living(known[incident_id], known)], click)

        return (await self.commit(work)).journeys[0][1]

    async def commit(self, work: Callable[[AsyncConnection, Changes], Awaitable[None]]) -> Changes:
        """Do work that decides, as often as it takes, and store everything in one commit."""
        handover = Handover(self.senders)
        committed = False

        async def attempt(tx: AsyncConnection) -> Changes:
            changes = Changes(self.clock(), self.rules(), self.topic_prefix)
            await work(tx, changes)
            handover.lease(changes)
            handover.keep(await saving.save(tx, changes))
            return changes

        try:
            changes = await in_transaction(self.database, attempt)
            committed = True
        finally:
            handover.end(committed=committed)
        await self._committed(changes, handover)
        return changes

    async def in_one_trip(self, work: Callable[..., Awaitable[set[uuid.UUID] | None]]) -> bool:
        """Do `work(connection, changes=…, handover=…)`, which decides and writes in one statement (`one_trip.attempt`).

        Returns:
            Whether it was done; else `commit` finds out what there is.
        """
        changes = Changes(self.clock(), self.rules(), self.topic_prefix)
        handover = Handover(self.senders)
        if not await one_trip.attempt(self.database, handover, partial(work, changes=changes, handover=handover)):
            return False
        await self._committed(changes, handover)
        return True

    async def _committed(self, changes: Changes, handover: Handover) -> None:
        self._wake(changes, handed_over=len(handover.mails))
        try:
            if handover.mails:
                await asyncio.sleep(0)  # the senders first
        finally:
            for cause, decision in changes.journeys:
                log_decision(cause, decision)

    def _wake(self, changes: Changes, *, handed_over: int) -> None:
        if len(changes.mails) > handed_over:
            self.signals.mail.set()
        if changes.relayed:
            self.signals.relay.set()
        for probe in changes.probes:
            self.signals.probes.put_nowait(probe)


async def _summarise(tx: AsyncConnection, changes: Changes, silence_id: str) -> int:
    """The first incident carries the summary of all that the silence held back; returns how many."""
    everything = [changes.known.get(i.id, i) for i in await plan_store.held_back_by(tx, silence_id)]
    if everything:
        first = everything[0].id
        changes.known = await store.load_for_update(tx, [first]) | changes.known
        changes.decide([changes.known[first]], SilenceEnded(silence_id, tuple(map(held_back, everything))))
    return len(everything)
