"""Records that are being applied: those of a partition one batch after the other, partitions side by side.

What is decided about one partition need not wait for what the database writes of another one, nor what is let past for
what it is let past.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, NamedTuple, TypeVar

from services.common.loops import beat, watched_apart

_LOOK_EVERY: Final = 1.0

Fetched = TypeVar("Fetched")


class Lane(NamedTuple):
    """Records of a partition in their turn, or those that are let past them."""

    partition: int
    ahead: bool = False

    def __str__(self) -> str:
        return f"partition {self.partition}{' ahead' if self.ahead else ''}"


class InHand:
    """A task for each lane that has records in hand."""

    def __init__(self) -> None:
        self._tasks: dict[Lane, asyncio.Task[None]] = {}

    def __contains__(self, lane: Lane) -> bool:
        return lane in self._tasks

    def any_of(self, partition: int) -> bool:
        """Whether anything of this partition is in hand."""
        return Lane(partition) in self or Lane(partition, ahead=True) in self

    def take(self, lane: Lane, applied: Coroutine[Any, Any, None]) -> None:
        """Have records applied in a lane that has none in hand; what hangs shows no life."""
        self._tasks[lane] = watched_apart(str(lane), applied)

    async def meanwhile(self, fetch: Callable[[], Awaitable[Fetched]]) -> Fetched | None:
        """What is fetched; None when a lane had its records applied before there was anything.

        Raises:
            Exception: what fetching raises, or what applying raised.
        """
        if not self._tasks:
            return await fetch()
        fetching = asyncio.ensure_future(fetch())
        try:
            await asyncio.wait({fetching, *self._tasks.values()}, return_when=asyncio.FIRST_COMPLETED)
            self._let_go()
            return fetching.result() if fetching.done() else None
        finally:
            # Loses nothing: aiokafka takes records out of its hands in the same step in which it returns them.
            fetching.cancel()

    async def one_applied(self) -> None:
        """Wait until some lane has none in hand any more.

        Raises:
            Exception: what applying raised.
        """
        if self._tasks:
            await self._wait(asyncio.FIRST_COMPLETED)
            self._let_go()

    async def end_of(self, lane: Lane) -> None:
        """Wait until what this lane has in hand is over, however it ends."""
        task = self._tasks.get(lane)
        while task is not None and not task.done():
            beat()
            await asyncio.wait({task}, timeout=_LOOK_EVERY)

    async def all_applied(self) -> None:
        """Wait until none has.

        Raises:
            Exception: what applying raised; the others have ended, too.
        """
        if self._tasks:
            await self._wait(asyncio.ALL_COMPLETED)
            self._let_go()

    async def abandon(self) -> None:
        """Leave nothing running behind: what was not committed is read again."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        self._tasks.clear()

    async def _wait(self, until: str) -> None:
        while True:
            ended, left = await asyncio.wait(self._tasks.values(), timeout=_LOOK_EVERY, return_when=until)
            beat()
            if not left or (ended and until == asyncio.FIRST_COMPLETED):
                return

    def _let_go(self) -> None:
        ended = {lane: task for lane, task in self._tasks.items() if task.done()}
        for lane in ended:
            del self._tasks[lane]
        for task in ended.values():
            task.result()
