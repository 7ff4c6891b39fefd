"""The way of an event out of this process: `publish` returns when the event is safe, and not before.

Safe means: on disk in the journal, or on all in-sync replicas of Kafka. With both at hand both are waited for, side by
side; with one of them away the other is enough. The ledger answers for the event from then on.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any, Final, Literal

import structlog

from schemas import codec
from schemas.events import Event
from services.common.loops import Pulses, succeeded
from services.ingest.journal.forwarder import Forwarder, note_sent, post, send
from services.ingest.journal.journal import Unjournalled
from services.ingest.journal.ledger import Entry, Ledger, note_written
from services.ingest.kafka_lanes import SEND_WITHIN, Undelivered
from services.ingest.kafka_writer import KafkaWriter
from services.ingest.loops import begin

log = structlog.get_logger()

Answer = Literal["accepted", "queued"]
"""accepted: Kafka has the event. queued: it is on disk here, and forwarded when Kafka is back."""
Step = asyncio.Future[None]
"""Towards safety; fails with `Unjournalled` or `Undelivered`."""
Note = Callable[[Step], None]
"""Called with a step that has ended."""

_ONE_IS_ENOUGH_AFTER: Final = 0.6
"""Seconds: then what is safe in one place is answered, whatever the other one does."""


class Unpublished(Exception):
    """The event is not known to be safe; the sender has to send it again (with the same id)."""


class Publisher:
    """Takes events in, and keeps forwarding what could not be published at once."""

    def __init__(
        self, writer: KafkaWriter, ledger: Ledger, *, is_taken: Callable[[str], bool], caught_up: Callable[[], bool]
    ) -> None:
        self._writer = writer
        self._ledger = ledger
        self._is_taken = is_taken
        self._forwarder = Forwarder(writer, ledger, caught_up)
        self._underway: dict[str, list[asyncio.Future[Answer]]] = {}
        """What is being made safe, and whoever sent it again meanwhile."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._forwarding: asyncio.Task[None] | None = None

    @property
    def problems(self) -> dict[str, str]:
        """What is away: `kafka`, `journal`, and why; with both nothing can be taken in."""
        found = {"kafka": self._writer.unready_because, "journal": self._ledger.problem}
        return {name: reason for name, reason in found.items() if reason is not None}

    async def start(self, pulses: Pulses | None = None) -> None:
        """Begin to connect and to forward; returns at once, also when Kafka is away."""
        await self._writer.start(pulses)
        self._forwarding = begin("forwarder", self._forwarder.run(), pulses)

    async def stop(self) -> None:
        """Close everything, within a few seconds whatever Kafka does."""
        if self._forwarding is not None:
            self._forwarding.cancel()
            await asyncio.wait([self._forwarding])
        await self._writer.stop()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=SEND_WITHIN)

    async def publish(self, event: Event) -> Answer:
        """Return when the event is safe. The same id again is the same event: the first body counts.

        Raises:
            Unpublished: after at most `SEND_WITHIN` seconds. The event may arrive all the same: publishing it again
                under the same id is right, and never makes a second incident. A real press stays in memory, is
                forwarded when Kafka is back, and watched: its sender may not be able to try again.
        """
        entry = self._ledger.find(event.id)
        if entry is not None:
            return await self._again(entry, event)
        if self._is_taken(event.id):
            # Alerting has it, and says whether this one differs.
            await self._straight_to_kafka(event, patient=False)
            return "accepted"
        try:
            entry = self._ledger.hold(event)
        except Unjournalled as full:
            if (problem := await self._straight_to_kafka(event, patient=True)) is not None:
                raise Unpublished(f"{problem}; {full}") from full
            return "accepted"
        return await self._take(entry)

    async def _again(self, entry: Entry, event: Event) -> Answer:
        if entry.record.value != codec.encode(event).value:
            log.warning("report.differs", event_id=event.id, source=event.source)
        if event.id in self._underway:
            same: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
            self._underway[event.id].append(same)
            return await same
        if entry.acknowledged_by_kafka:
            return "accepted"
        if not entry.is_journalled:
            return await self._take(entry)
        self._forwarder.wake()
        return "queued"

    async def _straight_to_kafka(self, event: Event, *, patient: bool) -> str | None:
        entry = Entry.of(event)  # nobody answers for it: only as it goes to Kafka
        try:
            await self._writer.send(entry.record, patient=patient, urgent=entry.is_urgent)
        except Undelivered as undelivered:
            return str(undelivered)
        return None

    async def _take(self, entry: Entry) -> Answer:
        waiting: list[asyncio.Future[Answer]] = []
        self._underway[entry.event.id] = waiting
        try:
            answer = await self._make_safe(entry)
        except Unpublished as unpublished:
            _tell_too(waiting, unpublished)
            if not entry.is_urgent:
                self._ledger.drop(entry)
            raise
        else:
            _tell_too(waiting, answer)
            return answer
        finally:
            del self._underway[entry.event.id]
            for one in waiting:
                one.cancel()  # nothing where it was told

    async def _make_safe(self, entry: Entry) -> Answer:
        """Disk and Kafka side by side.

        Raises:
            Unpublished: neither has the event.
        """
        until = time.monotonic() + SEND_WITHIN
        writing = self._ledger.write(entry)
        sending: Step | None = None
        steps: list[tuple[Step, Note]] = [(writing, partial(note_written, entry))]
        # Kafka that is known to be away is not waited for while the disk works, nor may a follow-up overtake.
        if self._ledger.problem is not None:
            sending = self._begin(send(self._writer, self._ledger, entry, patient=True))
            steps.insert(0, (sending, _noted_already))
        elif self._writer.unready_because is None and not self._must_wait(entry):
            sending = post(self._writer, entry)
            steps.insert(0, (sending, partial(note_sent, self._ledger, entry)))
        await _all_end(steps, _ONE_IS_ENOUGH_AFTER)
        if sending is not None and succeeded(sending):
            return "accepted"  # as nearly always: what follows need not be asked
        begun = [step for step, _ in steps]
        await _one_succeeds(begun, until)
        if not any(map(succeeded, begun)) and time.monotonic() < until:
            within = until - time.monotonic()
            sending = self._begin(send(self._writer, self._ledger, entry, within=within, patient=True))
            await _one_succeeds([writing, sending], until)
        if sending is not None and succeeded(sending):
            return "accepted"
        if succeeded(writing):
            self._forwarder.wake()
            return "queued"
        raise Unpublished("; ".join(f"{name}: {reason}" for name, reason in self.problems.items()) or "too slow")

    def _must_wait(self, entry: Entry) -> bool:
        subject = entry.event.subject
        return subject is not None and self._ledger.waits(subject, besides=entry)

    def _begin(self, step: Coroutine[Any, Any, None]) -> Step:
        task = asyncio.create_task(step)
        self._tasks.add(task)
        task.add_done_callback(self._end)
        return task

    def _end(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        # Whoever waited may have its answer from elsewhere already.
        if not task.cancelled():
            task.exception()


def _noted_already(_: Step) -> None:
    """`send` notes by itself what became of it."""


def _tell_too(waiting: Sequence[asyncio.Future[Answer]], answer: Answer | Unpublished) -> None:
    for one in waiting:
        if one.done():
            continue  # its sender is gone
        if isinstance(answer, Unpublished):
            one.set_exception(answer)
        else:
            one.set_result(answer)


async def _all_end(steps: Sequence[tuple[Step, Note]], within: float) -> None:
    """Return when all have ended, or after so many seconds: `asyncio.wait` in a third of its time, for each press.

    Each is noted once it has ended, whenever that is. The one that most often ends last stands first: then the others
    need no waiting and no callback, which would be a turn of the event loop for each.
    """
    until = asyncio.get_running_loop().time() + within
    left = deque(steps)
    try:
        while left:
            step, note = left[0]
            if not step.done() and not await _ends(step, until):
                return
            left.popleft()
            note(step)
    finally:
        for step, note in left:
            step.add_done_callback(note)


async def _ends(step: Step, until: float) -> bool:
    """Wait for it until then (the event loop's time); whether it has ended."""
    loop = asyncio.get_running_loop()
    if (rest := until - loop.time()) <= 0:
        return False
    ended: asyncio.Future[None] = loop.create_future()
    end = partial(_end_once, ended)
    timer = loop.call_later(rest, end)
    step.add_done_callback(end)
    try:
        await ended
    finally:
        timer.cancel()
    return step.done()


def _end_once(ended: asyncio.Future[None], _: object = None) -> None:
    if not ended.done():
        ended.set_result(None)


async def _one_succeeds(steps: Sequence[Step], until: float) -> None:
    """Return when one has succeeded, all have failed, or the time is over (monotonic)."""
    waiting = set(steps)
    while waiting and not any(map(succeeded, steps)) and (rest := until - time.monotonic()) > 0:
        _, waiting = await asyncio.wait(waiting, timeout=rest, return_when=asyncio.FIRST_COMPLETED)
