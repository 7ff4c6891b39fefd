"""The way of a message, however it came: verify, parse, publish, and what its sender is told."""

import asyncio
import contextlib
import time
from collections.abc import Sequence
from typing import Any, Final

import structlog

from schemas.events import Event, Heartbeat, Reported
from services.ingest import learning
from services.ingest.activity import Activity
from services.ingest.api.problems import SLUGS, Refusal
from services.ingest.limits import Limits
from services.ingest.publisher import Publisher, Unpublished
from services.ingest.report_body import EXPECTED
from services.ingest.sender import Sender
from services.ingest.sources import cloudevents
from services.ingest.sources.registry import EMITTERS
from services.ingest.sources.shape import Ignored, Made, Message
from services.ingest.status import Statuses

log = structlog.get_logger()

_SAY_EVERY: Final = 30.0
"""Seconds between two lines about one source that sends too much."""


class Intake:
    """Takes messages of sources in. Presses are never limited; everything else is, source by source."""

    def __init__(self, publisher: Publisher, statuses: Statuses, activity: Activity, limits: Limits) -> None:
        self._publisher = publisher
        self._statuses = statuses
        self._activity = activity
        self._limits = limits
        self._said_limited: dict[str, float] = {}

    async def receive(self, message: Message, sender: Sender, started: float | None = None) -> dict[str, Any]:
        """Take one message in; returns what its sender is told.

        Raises:
            Refusal: it cannot be taken; 429 when the source sends too much, 503 when it is not safe anywhere.
        """
        started = time.perf_counter() if started is None else started
        emitter = EMITTERS[sender.source.type]
        try:
            if emitter.verify is not None:
                emitter.verify(message, sender)
            self._admit_message(sender)
            learning.show(message, sender)
            principal, *others = learning.marked(emitter.parse(message, sender), sender)
            self._admit_events(sender, [principal])
        except Refusal as refusal:
            self.refused(sender, refusal)
            raise
        if isinstance(principal, Ignored):
            answer = self._ignored(principal, sender)
        else:
            answer = await self._accept(principal, sender, started)
        if others:
            await self._publish_besides(others, sender)
        return answer

    async def receive_events(
        self, message: Message, sender: Sender, started: float
    ) -> dict[str, Any] | list[dict[str, Any]]:
        """Take CloudEvents in; returns the answer, of a batch a list of them in its order.

        Raises:
            Refusal: as `receive`; then nothing of a batch was taken, unless it is 503.
        """
        try:
            self._admit_message(sender)
            learning.show(message, sender)
            received = cloudevents.receive(message, sender)
            self._admit_events(sender, received.events)
        except Refusal as refusal:
            self.refused(sender, refusal)
            raise
        answers = await self._accept_all(learning.marked(received.events, sender), sender, started)
        return answers if received.batched else answers[0]

    def _ignored(self, what: Ignored, sender: Sender) -> dict[str, Any]:
        self._activity.took(sender, "ignored")
        log.info("report.ignored", source=sender.name, reason=what.reason)
        return {"status": "ignored", "reason": what.reason, "warnings": []}

    def refused(self, sender: Sender, refusal: Refusal) -> None:
        """Count and say that a message of this source was not taken."""
        if refusal.status == 429:
            self._activity.failed(sender, "limited", refusal)
            self._say_limited(sender)
            return
        self._activity.failed(sender, "refused", refusal)
        _say_refused(sender, refusal, None)

    def _admit_message(self, sender: Sender) -> None:
        """Before anything is parsed: reading is what costs most. Of a button it cannot be known yet what it is."""
        if not sender.lenient:
            self._limits.admit(sender.name)

    def _admit_events(self, sender: Sender, made: Sequence[Made]) -> None:
        events = [one for one in made if isinstance(one, Event)]
        others = [event for event in events if not isinstance(event.data, Reported)]
        # Of a sender that is no button the message itself was counted already.
        count = len(others) if sender.lenient else len(events) - 1
        if count > 0:
            self._limits.admit(sender.name, count)

    def _say_limited(self, sender: Sender) -> None:
        now = time.monotonic()
        if now - self._said_limited.get(sender.name, float("-inf")) >= _SAY_EVERY:
            self._said_limited[sender.name] = now
            log.warning("source.limited", source=sender.name)

    async def _publish_besides(self, others: Sequence[Made], sender: Sender) -> None:
        """What a press's message brought along, such as its battery: the answer is about the press alone."""
        for other in others:
            if isinstance(other, Event):
                with contextlib.suppress(Refusal):
                    await self._accept(other, sender, time.perf_counter())

    async def _accept_all(self, made: Sequence[Made], sender: Sender, started: float) -> list[dict[str, Any]]:
        """Side by side, but one after the other where they are about one incident."""
        answers: list[dict[str, Any]] = [{}] * len(made)
        by_incident: dict[str, list[tuple[int, Event]]] = {}
        for number, one in enumerate(made):
            if isinstance(one, Ignored):
                answers[number] = self._ignored(one, sender)
            else:
                by_incident.setdefault(one.subject or one.id, []).append((number, one))

        async def in_order(numbered: Sequence[tuple[int, Event]]) -> None:
            for number, event in numbered:
                answers[number] = await self._accept(event, sender, started)

        await asyncio.gather(*(in_order(numbered) for numbered in by_incident.values()))
        return answers

    async def _accept(self, event: Event, sender: Sender, started: float) -> dict[str, Any]:
        """Publish the event; returns what the sender is told.

        Raises:
            Refusal: 503 when it is not safe anywhere.
        """
        data = event.data
        try:
            status = await self._publisher.publish(event)
        except Unpublished as unpublished:
            refusal = Refusal(
                503, f"The event could not be stored: {unpublished}. Send it again, with the same id.",
                headers={"Retry-After": "2"},
            )  # fmt: skip
            self._activity.failed(sender, "unpublished", refusal, event)
            _say_refused(sender, refusal, event.id)
            raise refusal from unpublished
        other = "heartbeat" if isinstance(data, Heartbeat) else "follow_up"
        self._activity.took(sender, status if isinstance(data, Reported) else other, event)
        self._statuses.accept(event.id, sender.name, time.time())
        warnings = list(data.warnings) if isinstance(data, Reported) else []
        log.info(
            "report.accepted",
            event_id=event.id, type=event.type, source=sender.name, site=data.site, status=status,
            warnings=len(warnings),
            duration_ms=round((time.perf_counter() - started) * 1000, 2),
        )  # fmt: skip
        url = f"/v1/events/{event.id}"
        return {"event_id": event.id, "status": status, "status_url": url, "warnings": warnings}


def _say_refused(sender: Sender, refusal: Refusal, event_id: str | None) -> None:
    # An unknown field's name is what a sender wrote, so it stays out of the log.
    fields = sorted({fault.field if fault.field in EXPECTED else "unknown" for fault in refusal.errors})
    log.warning(
        "report.refused",
        source=sender.name, status=refusal.status, problem=SLUGS[refusal.status], fields=fields,
        **({"event_id": event_id} if event_id else {}),
    )  # fmt: skip
