"""Ends a process that only a restart can free: a loop that is stuck, an event loop that is blocked.

The dependencies' absence is no reason: a loop that waits for one says so by its `beat`.
"""

import asyncio
import faulthandler
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from types import FrameType
from typing import Final

import structlog

from services.common.loops import Pulses, beat

log = structlog.get_logger()

EXIT_CODE: Final = 75
LOOP_STUCK: Final = 60.0
"""Seconds in which every loop must have gone round."""
BLOCKED: Final = 20.0
"""Seconds for which nothing may hold the event loop up."""
_LAST_RESORT: Final = 45.0
"""Seconds until the C library ends us, when something holds up all threads (a regular expression, for example)."""
_LOOK_EVERY: Final = 1.0
_STOPPED: Final = 5.0
"""A gap in our own looks that shows that the whole process stood still, by SIGSTOP for example."""
_SAY_WITHIN: Final = 2.0


class Watchdog:
    """`limits` are seconds for loops that rightly go round less often; `excused` says that something is away."""

    def __init__(
        self,
        *,
        limits: Mapping[str, float] | None = None,
        excused: Callable[[], bool] = lambda: False,
        blocked: float = BLOCKED,
        last_resort: float = _LAST_RESORT,
        end: Callable[[int], object] = os._exit,
    ) -> None:
        self.pulses: Pulses = {}
        self._limits = limits or {}
        self._excused = excused
        self._blocked = blocked
        self._last_resort = last_resort
        self._end = end
        self._tick = time.monotonic()
        self._pardoned_at = self._tick
        self._verdict: str | None = None
        self._over = threading.Event()

    async def run(self) -> None:
        """Show that the event loop turns, and look at the other loops, until cancelled."""
        self._tick = time.monotonic()
        watcher = threading.Thread(target=self._watch, args=(threading.get_ident(),), name="watchdog", daemon=True)
        watcher.start()
        try:
            while True:
                beat()
                self._tick = time.monotonic()
                # Prints where every thread stands to stderr – places in the code, no values – and exits.
                faulthandler.dump_traceback_later(self._last_resort, exit=True, file=2)
                if (what := self.stuck()) is not None:
                    self._end_process(what, None)
                await asyncio.sleep(_LOOK_EVERY)
        finally:
            self._over.set()
            faulthandler.cancel_dump_traceback_later()

    def condemn(self, what: str) -> None:
        """Somebody who knows better found that only a restart helps."""
        self._verdict = what

    def stuck(self) -> str | None:
        """What only a restart would free; None when all is well, or when what is missing lies outside."""
        if self._verdict is not None:
            return self._verdict
        now = time.monotonic()
        if self._excused():
            self._pardoned_at = now
            return None
        since = self._pardoned_at
        late = [name for name, at in self.pulses.items() if now - max(at, since) > self._limits.get(name, LOOP_STUCK)]
        return f"loop {late[0]}" if late else None

    def _watch(self, event_loop_thread: int) -> None:
        looked = time.monotonic()
        while not self._over.wait(_LOOK_EVERY):
            now = time.monotonic()
            if now - looked > _STOPPED:
                self._forgive(now)
            looked = now
            if now - self._tick > self._blocked:
                self._end_process("event loop", sys._current_frames().get(event_loop_thread))  # noqa: SLF001 - documented for debuggers

    def _forgive(self, now: float) -> None:
        """The whole process stood still: that says nothing about what it will do now."""
        self._tick = self._pardoned_at = now

    def _end_process(self, what: str, frame: FrameType | None) -> None:
        frames = traceback.extract_stack(frame)[-8:] if frame is not None else []
        where = [f"{one.filename.rpartition(os.sep)[2]}:{one.lineno} {one.name}" for one in frames]
        # From a thread of its own: the output may be what everything waits for.
        line = threading.Thread(target=lambda: log.critical("process.stuck", what=what, where=where), daemon=True)
        line.start()
        line.join(_SAY_WITHIN)
        self._end(EXIT_CODE)
