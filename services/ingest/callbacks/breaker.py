"""When a receiver fails again and again, it is left alone for a while. Pure: the time is handed in."""

from typing import Final

_FAILURES: Final = 5
_PAUSE_S: Final = 30.0
_LONGEST_S: Final = 300.0


class Breaker:
    """Closed after success; open for a pause after five failures in a row; then one attempt decides.

    Times are seconds of one steady clock.
    """

    def __init__(self) -> None:
        self.failures = 0
        self._pause = _PAUSE_S
        self._open_until = 0.0

    @property
    def is_open(self) -> bool:
        """From the failure that opens it until the next success."""
        return self.failures >= _FAILURES

    def wait(self, now: float) -> float:
        """Seconds until the next attempt is allowed; 0 for now."""
        return max(0.0, self._open_until - now) if self.is_open else 0.0

    def succeed(self) -> None:
        """The receiver answers."""
        self.failures, self._pause = 0, _PAUSE_S

    def fail(self, now: float) -> float:
        """It does not. Returns for how many seconds nothing is tried now; 0 while it is not given up yet."""
        self.failures += 1
        if not self.is_open:
            return 0.0
        pause, self._pause = self._pause, min(2 * self._pause, _LONGEST_S)
        self._open_until = now + pause
        return pause
