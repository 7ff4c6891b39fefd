"""Whether the lifecycle is read to its end: until it is, what nobody confirmed may well be confirmed."""

import asyncio
import time


class CaughtUp(asyncio.Event):
    """Set by the follower when everything is read that stood on the topic when somebody last asked.

    Cleared by who asks, and while Kafka is away. `is_asked` and `anew` are for the follower: that it has not looked
    since where the topic ends, and that everything has to be read once more.
    """

    def __init__(self) -> None:
        super().__init__()
        self.is_asked = self.anew = False
        self._waited_for_since: float | None = None

    def ask(self, *, anew: bool = False) -> None:
        """What may have been said meanwhile has to be read; with `anew`, also what was read before."""
        self.clear()
        self.is_asked, self.anew = True, self.anew or anew
        self._waited_for_since = time.monotonic()

    def set(self) -> None:
        """Everything is read that stood there when somebody last asked."""
        self._waited_for_since = None
        super().set()

    def is_awaited(self, within: float) -> bool:
        """Whether somebody asked less than so many seconds ago, and it was not set since."""
        since = self._waited_for_since
        return since is not None and time.monotonic() - since < within
