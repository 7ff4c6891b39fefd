"""When a service that ended is started again, and when that is given up."""

from typing import Final

from services.embedded.process import Part

AT_MOST: Final = 5
"""Restarts of one service within a minute; what ends more often is not helped by them."""
_WITHIN: Final = 60.0
_FIRST: Final = 0.5
"""Seconds before the first restart; doubled with each further one within the minute."""


class Restarts:
    """Times are `time.monotonic()`."""

    def __init__(self) -> None:
        self._ended: dict[str, list[float]] = {}
        self._due: dict[int, float] = {}

    def __contains__(self, part: Part) -> bool:
        return part.process.pid in self._due

    def plan(self, part: Part, now: float) -> bool:
        """Note that it ended; False when it has ended too often."""
        lately = [at for at in self._ended.get(part.name, []) if now - at < _WITHIN]
        self._ended[part.name] = [*lately, now]
        if len(lately) >= AT_MOST:
            return False
        self._due[part.process.pid] = now + _FIRST * 2 ** len(lately)
        return True

    def due(self, part: Part, now: float) -> bool:
        """Whether to start it now; then it is planned no more."""
        if now < self._due[part.process.pid]:
            return False
        del self._due[part.process.pid]
        return True
