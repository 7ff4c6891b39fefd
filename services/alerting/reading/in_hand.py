"""Records that are being applied: those of a partition one fetch after the other, partitions side by side.

What is decided about one partition need not wait for what the database writes of another one.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, TypeVar

from services.common.loops import beat, watched_apart

_LOOK_EVERY: Final = 1.0

Fetched = TypeVar("Fetched")


class InHand:
    """A task for each partition that has records in hand, and how many these are."""

    def __init__(self) -> None:
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._counts: dict[int, int] = {}

    def __contains__(self, partition: int) -> bool:
        return partition in self._tasks

    @property
    def records(self) -> int:
        """Of all partitions together."""
        return sum(self._counts.values())

    def take(self, partition: int, count: int, applied: Coroutine[Any, Any, None]) -> None:
        """Have `count` records of a partition that has none in hand applied; what hangs shows no life."""
        self._tasks[partition] = watched_apart(f"partition {partition}", applied)
        self._counts[partition] = count

    async def meanwhile(self, fetch: Callable[[], Awaitable[Fetched]]) -> Fetched | None:
        """What is fetched; None when a partition had its records applied before there was anything.

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
        """Wait until some partition has none in hand any more.

        Raises:
            Exception: what applying raised.
        """
        await self._wait(asyncio.FIRST_COMPLETED)
        self._let_go()

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
        self._counts.clear()

    async def _wait(self, until: str) -> None:
        while True:
            ended, left = await asyncio.wait(self._tasks.values(), timeout=_LOOK_EVERY, return_when=until)
            beat()
            if not left or (ended and until == asyncio.FIRST_COMPLETED):
                return

    def _let_go(self) -> None:
        ended = {number: task for number, task in self._tasks.items() if task.done()}
        for partition in ended:
            del self._tasks[partition], self._counts[partition]
        for task in ended.values():
            task.result()
