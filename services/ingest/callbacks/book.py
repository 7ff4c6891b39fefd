"""The presses whose devices are told: kept in memory, and on disk before alerting's word lets go of them elsewhere."""

import asyncio
import contextlib
import time
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

import structlog

from services.ingest.callbacks.press import KEPT_FOR, Press
from services.ingest.callbacks.store import Store, Unstored

log = structlog.get_logger()

MOST_PRESSES: Final = 5000
_KEPT_WITHIN: Final = 1.0
_RETRY_AFTER: Final = 1.0
_SAY_EVERY: Final = 30.0
_CLOSE_WITHIN: Final = 2.0
T = TypeVar("T")


class Book:
    """All presses by event id. Without a usable file it lives as long as its process."""

    def __init__(self, path: Path) -> None:
        self._store = Store(path)
        self._thread = ThreadPoolExecutor(1, "callbacks")
        self.presses: dict[str, Press] = {}
        self._of_device: dict[tuple[str, str], dict[str, Press]] = {}
        self._changes: dict[str, Press | None] = {}
        self._new: set[str] = set()
        """Ids that are in memory only."""
        self._wake = asyncio.Event()
        self._written = asyncio.Event()
        self._works = True
        self._said_at = -_SAY_EVERY
        self.loaded = asyncio.Event()
        """What an earlier process left is in."""

    def add(self, press: Press) -> None:
        """Remember a press; one that is known stays as it is. Never raises, waits for nothing."""
        if press.event_id in self.presses:
            return
        if len(self.presses) >= MOST_PRESSES:
            oldest = min(self.presses.values(), key=lambda one: one.accepted_at)
            log.warning("callback.forgotten", event_id=oldest.event_id, source=oldest.source)
            self.drop(oldest.event_id)
        self._hold(press)
        self._new.add(press.event_id)
        self.changed(press)

    def _hold(self, press: Press) -> None:
        self.presses[press.event_id] = press
        self._of_device.setdefault((press.source, press.device_id), {})[press.event_id] = press

    def changed(self, press: Press) -> None:
        """Write it soon."""
        if press.event_id in self.presses:
            self._changes[press.event_id] = press
            self._wake.set()

    def drop(self, event_id: str) -> None:
        """Forget it soon."""
        if (press := self.presses.pop(event_id, None)) is None:
            return
        device = (press.source, press.device_id)
        del self._of_device[device][event_id]
        if not self._of_device[device]:
            del self._of_device[device]
        self._new.discard(event_id)
        self._changes[event_id] = None
        self._wake.set()

    def of_device(self, press: Press) -> Collection[Press]:
        """All presses of the device that this one came from."""
        return self._of_device.get((press.source, press.device_id), {}).values()

    def outdated(self) -> Iterator[Press]:
        """What is too old to be told of."""
        oldest = time.time() - KEPT_FOR
        return (press for press in list(self.presses.values()) if press.accepted_at < oldest)

    async def kept(self, event_ids: Collection[str]) -> None:
        """Return when these are on disk; at once where the file does not work: nothing may wait for answers."""
        until = time.monotonic() + _KEPT_WITHIN
        while self._works and not self._new.isdisjoint(event_ids):
            self._written.clear()
            try:
                async with asyncio.timeout(until - time.monotonic()):
                    await self._written.wait()
            except TimeoutError:
                self._works = False

    async def run(self) -> None:
        """Load the file, then write changes to it, for ever."""
        while not self.loaded.is_set():
            await self._load()
        while True:
            await self._wake.wait()
            self._wake.clear()
            if self._changes:
                await self._write()

    async def close(self) -> None:
        """Write what is left, within two seconds whatever the disk does."""
        with contextlib.suppress(TimeoutError, Unstored):
            async with asyncio.timeout(_CLOSE_WITHIN):
                if self._changes:
                    await self._on_disk(lambda: self._store.write(self._changes))
                await self._on_disk(self._store.close)
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _on_disk(self, act: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, act)

    async def _load(self) -> None:
        try:
            stored = await self._on_disk(self._store.load)
        except Unstored as unstored:
            await self._fail(unstored)
            return
        for press in stored:
            known = self.presses.get(press.event_id)
            if known is None:
                self._hold(press)
            else:
                # An event that is adopted from the journal comes without what its device was told.
                known.told = known.told or press.told
        self._works = True
        self.loaded.set()

    async def _write(self) -> None:
        changes, self._changes = self._changes, {}
        try:
            await self._on_disk(lambda: self._store.write(changes))
        except asyncio.CancelledError:
            # It may not have begun: once more at the close.
            self._changes = changes | self._changes
            raise
        except Unstored as unstored:
            self._changes = changes | self._changes
            self._wake.set()
            await self._fail(unstored)
        else:
            self._new -= changes.keys()
            self._works = True
            self._written.set()

    async def _fail(self, unstored: Unstored) -> None:
        self._works = False
        self._written.set()
        if time.monotonic() - self._said_at >= _SAY_EVERY:
            self._said_at = time.monotonic()
            log.error("callback.unstored", error=str(unstored))
        await asyncio.sleep(_RETRY_AFTER)
