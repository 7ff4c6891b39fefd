"""Work that is done once for all who asked for it in one turn of the event loop."""

import asyncio
from collections.abc import Callable


class EndOfTurn:
    """Calls something at the end of a turn, however often that was asked for in it."""

    def __init__(self, what: Callable[[], None]) -> None:
        self._what = what
        self._asked: asyncio.AbstractEventLoop | None = None
        """The loop whose turn ends with it."""

    def ask(self) -> None:
        """Have it called.

        Raises:
            RuntimeError: there is no event loop in this thread.
        """
        loop = asyncio.get_running_loop()
        if self._asked is not loop:
            loop.call_soon(self._end)
            self._asked = loop

    def _end(self) -> None:
        self._asked = None
        self._what()
