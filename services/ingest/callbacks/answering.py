"""Tells devices what became of their presses: at least once, the newest status only, beside everything else.

What is to be told follows from the lifecycle, which every start reads again; what is kept here is which presses this
process accepted, and what their devices were told last. So a process that dies in between tells it after its restart.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Final

import httpx
import structlog

from schemas.configuration_sources import normalise_device_id
from schemas.events import Event, Mode, Reported
from services.ingest.callbacks.book import Book
from services.ingest.callbacks.lane import Lane
from services.ingest.callbacks.posting import by_post
from services.ingest.callbacks.press import Press, replaces
from services.ingest.callbacks.publishing import by_publishing
from services.ingest.callbacks.request import Called
from services.ingest.metrics import CALLBACKS_SUSPENDED, CALLBACKS_WAITING
from services.ingest.status import Statuses

log = structlog.get_logger()

_ALL_EVERY: Final = 60.0
_AGAIN_AFTER: Final = 5.0
_STOP_WITHIN: Final = 2.0


class Callbacks:
    """One lane per source with a callback; without any, nothing is kept and no file is made."""

    def __init__(self, path: Path, statuses: Statuses, called: Mapping[str, Called]) -> None:
        self._statuses = statuses
        self._called = called
        self._path = path
        self._book = Book(path)
        self._lanes: dict[str, Lane] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._client: httpx.AsyncClient | None = None
        self._caught_up: asyncio.Event | None = None
        self._may_tell = False

    def note(self, event: Event) -> None:
        """This process answers for the event: remember it, if its device is told of it. Waits for nothing."""
        called, data = self._called.get(event.source), event.data
        if called is None or not isinstance(data, Reported) or data.device_id is None or data.learning:
            return  # of what is learnt nobody was told, so no device may say that help is coming
        # Only a device of the register: a message's word for who it is from is no address.
        device_id = called.answered.get(normalise_device_id(data.device_id))
        if device_id is not None:
            exercise = data.mode is Mode.EXERCISE
            self._book.add(Press(event.id, event.source, device_id, exercise, event.time.timestamp()))

    async def take_word(self, event_ids: Collection[str]) -> None:
        """Alerting spoke of these. Returns when those of ours are on disk, or after a second at most."""
        if not self._called:
            return
        await self._book.kept(event_ids)
        if self._may_tell:
            self._offer(press for event_id in event_ids if (press := self._book.presses.get(event_id)))

    def take(self, called: Mapping[str, Called]) -> None:
        """Tell by this configuration from now on."""
        before, self._called = self._called, called
        if self._caught_up is None:
            return
        for source in before:
            if called.get(source) != before[source]:
                self._end(source)
        self._begin()

    def start(self, caught_up: asyncio.Event) -> None:
        """Begin; nothing is told before the lifecycle is read to its end, so that nothing is told that has passed."""
        self._caught_up = caught_up
        self._begin()

    async def stop(self) -> None:
        """Stop; what is not told stands in the file, and is told after the next start unless it is too old by then."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=_STOP_WITHIN)
            await self._book.close()
        if self._client is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_STOP_WITHIN):
                    await self._client.aclose()

    def _begin(self) -> None:
        """Start what is configured and does not run."""
        if not self._called:
            return
        if self._client is None:
            self._client = httpx.AsyncClient(follow_redirects=False, timeout=None)  # noqa: S113 – each call has its own
            self._run("the book", self._book.run)
            self._run("all", self._offer_all)
        for source in self._called.keys() - self._lanes.keys():
            called = self._called[source]
            tell = (
                by_publishing(source, called, str(self._path.absolute()))
                if called.broker
                else by_post(called, self._client)
            )
            lane = Lane(source, called, tell=tell, find=self._statuses.find, passed=self._book.changed)
            self._lanes[source] = lane
            self._run(f"to {source}", lane.run)
        if self._may_tell:
            self._offer(self._book.presses.values())

    def _end(self, source: str) -> None:
        self._lanes.pop(source, None)
        if (task := self._tasks.pop(f"to {source}", None)) is not None:
            task.cancel()
        CALLBACKS_WAITING.labels(source).set(0)
        CALLBACKS_SUSPENDED.labels(source).set(0)

    def _run(self, name: str, loop: Callable[[], Awaitable[None]]) -> None:
        self._tasks[name] = asyncio.create_task(_for_ever(loop), name=f"callbacks: {name}")

    async def _offer_all(self) -> None:
        """All of them once the lifecycle is read, and now and then; who is no longer told is forgotten."""
        assert self._caught_up is not None
        await self._book.loaded.wait()
        await self._caught_up.wait()
        self._may_tell = True
        while True:
            for press in self._book.outdated():
                self._drop(press)
            self._offer(self._book.presses.values())
            await asyncio.sleep(_ALL_EVERY)

    def _offer(self, presses: Iterable[Press]) -> None:
        for press in list(presses):
            lane = self._lanes.get(press.source)
            if lane is None or self._is_over(press, lane):
                self._drop(press)
            else:
                lane.offer(press)

    def _is_over(self, press: Press, lane: Lane) -> bool:
        """Whether its device is told of nothing any more, or of a newer press."""
        if normalise_device_id(press.device_id) not in lane.called.answered:
            return True
        return any(replaces(other, press, lane.called.callback) for other in self._book.of_device(press))

    def _drop(self, press: Press) -> None:
        if (lane := self._lanes.get(press.source)) is not None:
            lane.withdraw(press.event_id)
        self._book.drop(press.event_id)


async def _for_ever(loop: Callable[[], Awaitable[None]]) -> None:
    """A bug in an answer to a button must not end the process that takes the presses in."""
    while True:
        try:
            await loop()
        except Exception:
            log.exception("upkeep.failed", loop="callbacks")
        await asyncio.sleep(_AGAIN_AFTER)
