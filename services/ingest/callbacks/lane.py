"""The answers of one source, one after the other: they keep their order, and a slow receiver holds up only its own."""

import asyncio
import heapq
import time
from collections.abc import Callable
from typing import Final

import structlog

from services.common.outage import wait_for
from services.ingest.callbacks.breaker import Breaker
from services.ingest.callbacks.press import Answer, Press, Verdict, judge
from services.ingest.callbacks.request import Called
from services.ingest.callbacks.way import Failure, Tell
from services.ingest.metrics import CALLBACKS, CALLBACKS_SUSPENDED, CALLBACKS_WAITING
from services.ingest.status import Known

log = structlog.get_logger()

_LOOK_EVERY: Final = 1.0
_IDLE: Final = 60.0
_AT_ONCE: Final = 50
"""Told between two looks at all that waits."""
_LONGEST_BACKOFF: Final = 60.0


class Lane:
    """What waits to be told by one source.

    `tell` is the way to its devices; `find` says what is known of an event of a source; `passed` is called when a
    status is told or passed over.
    """

    def __init__(
        self,
        source: str,
        called: Called,
        *,
        tell: Tell,
        find: Callable[[str, str], Known | None],
        passed: Callable[[Press], None],
    ) -> None:
        self.called = called
        self._source = source
        self._way = tell
        self._find, self._passed = find, passed
        self._due: dict[str, Press] = {}
        self._wake = asyncio.Event()
        self._breaker = Breaker()

    def offer(self, press: Press) -> None:
        """There may be something to tell."""
        self._due[press.event_id] = press
        self._wake.set()

    def withdraw(self, event_id: str) -> None:
        """There is nothing to tell any more."""
        self._due.pop(event_id, None)

    async def run(self) -> None:
        """For ever."""
        while True:
            due = self._sweep()
            CALLBACKS_WAITING.labels(self._source).set(len(self._due))
            if not due or self._breaker.wait(time.monotonic()):
                # Time passes for what waits: it is looked at again, and expires, whatever the receiver does.
                await wait_for(self._wake, _LOOK_EVERY if self._due else _IDLE)
                continue
            for press in heapq.nsmallest(_AT_ONCE, due, key=lambda one: one.accepted_at):
                # Meanwhile there may be news, or nothing to tell any more.
                if (answer := self._look(press)) is not None and not self._breaker.wait(time.monotonic()):
                    await self._tell(press, answer)

    def _sweep(self) -> list[Press]:
        """What may be told now; what there is no need to tell is let go."""
        return [press for press in list(self._due.values()) if self._look(press) is not None]

    def _look(self, press: Press) -> Answer | None:
        """What the device of a press may be told now."""
        if press.event_id not in self._due:
            return None
        known = self._find(press.event_id, self._source)
        verdict, answer = judge(press, known, self.called.callback, time.time())
        if verdict is not Verdict.TELL or answer is None:
            del self._due[press.event_id]
            if answer is not None:
                self._pass_over(press, answer, verdict)
            return None
        if press.trying != answer.status:
            press.trying, press.attempts, press.not_before = answer.status, 0, 0.0
        return answer if press.not_before <= time.monotonic() else None

    def _pass_over(self, press: Press, answer: Answer, verdict: Verdict) -> None:
        press.told = answer.status
        self._passed(press)
        if verdict is Verdict.STALE:
            CALLBACKS.labels(self._source, answer.status, "expired").inc()
            log.warning(
                "callback.expired",
                event_id=press.event_id, incident_id=answer.incident_id, source=self._source, status=answer.status,
            )  # fmt: skip

    async def _tell(self, press: Press, answer: Answer) -> None:
        press.attempts += 1
        failure = await self._way(answer)
        said = {
            "event_id": press.event_id, "incident_id": answer.incident_id, "source": self._source,
            "status": answer.status, "attempt": press.attempts,
        }  # fmt: skip
        self._note_receiver(failure)
        if failure is None:
            press.told = answer.status
            self._passed(press)
            CALLBACKS.labels(self._source, answer.status, "sent").inc()
            log.info("callback.sent", **said)
        else:
            press.not_before = time.monotonic() + min(2.0 ** min(press.attempts - 1, 10), _LONGEST_BACKOFF)
            CALLBACKS.labels(self._source, answer.status, "failed").inc()
            log.warning("callback.failed", problem=failure.problem, code=failure.code, **said)

    def _note_receiver(self, failure: Failure | None) -> None:
        was_open = self._breaker.is_open
        if failure is None or not failure.is_the_receivers:
            self._breaker.succeed()
            if was_open:
                CALLBACKS_SUSPENDED.labels(self._source).set(0)
                log.info("callback.resumed", source=self._source)
            return
        seconds = self._breaker.fail(time.monotonic())
        if seconds and not was_open:
            CALLBACKS_SUSPENDED.labels(self._source).set(1)
            log.error(
                "callback.suspended", source=self._source, failures=self._breaker.failures, seconds=round(seconds)
            )
