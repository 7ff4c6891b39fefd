"""Distrusts mass rejection: when most records are unreadable, our deployment is wrong and not the data."""

from collections import deque
from collections.abc import Sequence
from typing import Final

WINDOW: Final = 100
"""Records; fewer say nothing, so single bad records and a small burst are only set aside."""
MOST: Final = 0.6


class TrippedError(Exception):
    """Most records are unreadable: nothing more is read, and what was looked at stays where it is."""


class Breaker:
    """One process's view. With `accept` everything unreadable is set aside, however much it is."""

    def __init__(self, *, accept: bool) -> None:
        self.tripped = False
        self._accept = accept
        self._recent: deque[bool] = deque(maxlen=WINDOW)

    def judge(self, unreadable: Sequence[bool]) -> None:
        """Look at the records of one fetch, before anything is done with them.

        Raises:
            TrippedError: of these and the last ones, most are unreadable.
        """
        seen = [*self._recent, *unreadable][-max(WINDOW, len(unreadable)) :]
        if not self._accept and len(seen) >= WINDOW and sum(seen) > MOST * len(seen):
            self.tripped = True
            raise TrippedError
        self._recent.extend(unreadable)
