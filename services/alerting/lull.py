"""When no alarm is in hand: what is not urgent waits for that, so that it competes with none."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, asynccontextmanager


class Lull:
    """Knows what this process does for alarms at the moment, and what it does after them."""

    def __init__(self) -> None:
        self._alarms = 0
        self._others = 0
        self._quiet = asyncio.Event()
        self._look()

    def alarm(self) -> AbstractContextManager[None]:
        """Around what somebody waits for; it waits for nothing."""
        return _Alarm(self)

    def begin(self) -> None:
        """An alarm is in hand from now on."""
        self._alarms += 1
        self._look()

    def end(self) -> None:
        """One that was begun is not any more."""
        self._alarms -= 1
        self._look()

    @asynccontextmanager
    async def waited_for(self, at_most: float) -> AsyncIterator[None]:
        """Around what can wait for a lull, and for another such thing; after `at_most` seconds it is done anyhow."""
        try:
            async with asyncio.timeout(at_most):
                while not self._quiet.is_set():
                    await self._quiet.wait()
        except TimeoutError:
            pass  # in a storm there is no lull
        self._others += 1
        self._look()
        try:
            yield
        finally:
            self._others -= 1
            self._look()

    def _look(self) -> None:
        if self._alarms or self._others:
            self._quiet.clear()
        else:
            self._quiet.set()


class _Alarm:
    """What `contextmanager` would make, in a third of the time: each mail passes through it."""

    __slots__ = ("_lull",)

    def __init__(self, lull: Lull) -> None:
        self._lull = lull

    def __enter__(self) -> None:
        self._lull.begin()

    def __exit__(self, *_: object) -> None:
        self._lull.end()
