"""How much a source may send that is no press: a bucket for each, so that one that went wild leaves room for others."""

import math
import time
from collections.abc import Callable
from typing import Final

from services.ingest.api.problems import Refusal

PER_SECOND: Final = 100.0
"""Messages (events, of a batch) in the long run: more than any office fills in, less than disturbs presses."""
BURST: Final = 2000.0
"""At once, after a pause: a system that was away sends what it kept."""


class Limits:
    """One bucket a source, filled with time. Presses never ask here."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._left: dict[str, tuple[float, float]] = {}

    def admit(self, source: str, count: int = 1) -> None:
        """Take `count` out of the source's bucket, all or nothing.

        Raises:
            Refusal: 429 with `Retry-After` when so much is not left.
        """
        now = self._clock()
        left, at = self._left.get(source, (BURST, now))
        left = min(BURST, left + (now - at) * PER_SECOND)
        if left < count:
            self._left[source] = (left, now)
            wait = max(1, math.ceil((count - left) / PER_SECOND))
            raise Refusal(
                429, f"This source sends more than {PER_SECOND:.0f} messages a second. Send the same again later.",
                headers={"Retry-After": str(wait)},
            )  # fmt: skip
        self._left[source] = (left - count, now)
