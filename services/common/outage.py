"""Something we depend on is away: say it once in a while, and when it is back."""

import asyncio
import random
import time
from collections.abc import Callable
from typing import Final, Literal

import structlog

from services.common.loops import beat

log = structlog.get_logger()

Dependency = Literal["kafka", "database", "mail_server", "mail_fallback", "name_service"]
SAY_EVERY = 30.0
_AWAY: Final[dict[Dependency, str]] = {
    "kafka": "Kafka does not answer",
    "database": "PostgreSQL does not answer",
    "mail_server": "the mail server takes no mail from us",
    "mail_fallback": "the second mail server takes no mail from us",
    "name_service": "host names cannot be looked up",
}


class Outage:
    """State of one dependency as this process sees it: `down` says why it is away, None that it works."""

    def __init__(self, what: Dependency, recovered: Callable[[], None] | None = None) -> None:
        self.what = what
        self._recovered = recovered
        """Called when it works again, and when it is first seen to work."""
        self.down: str | None = "not yet reached"
        self._since: float | None = None
        self._said = 0.0

    @property
    def problem(self) -> str | None:
        """A sentence for `/readyz` about what is away; None while it works."""
        if self.down is None:
            return None
        since = "" if self._since is None else f" (for {round(time.monotonic() - self._since)} s)"
        return f"{_AWAY[self.what]}{since}; tried again without end"

    def noticed(self, error: BaseException | str) -> None:
        """It failed just now; only the kind of failure is logged, never the text of an exception."""
        now = time.monotonic()
        if self._since is None:
            self._since, self._said = now, now - SAY_EVERY
        self.down = error if isinstance(error, str) else type(error).__name__
        if now - self._said >= SAY_EVERY:
            self._said = now
            self._say_unreachable(self.down, round(now - self._since))

    def over(self) -> None:
        """It works."""
        if self.down is not None and self._recovered is not None:
            self._recovered()
        self.down = None
        if self._since is not None:
            after_s, self._since = round(time.monotonic() - self._since, 1), None
            self._say_recovered(after_s)

    def _say_unreachable(self, error: str, since: int) -> None:
        match self.what:
            case "kafka":
                log.error("kafka.unreachable", error=error, since=since)
            case "database":
                log.error("database.unreachable", error=error, since=since)
            case "mail_server":
                log.error("mail_server.unreachable", error=error, since=since)
            case "mail_fallback":
                log.error("mail_fallback.unreachable", error=error, since=since)
            case "name_service":
                log.error("name_service.unreachable", error=error, since=since)

    def _say_recovered(self, after_s: float) -> None:
        match self.what:
            case "kafka":
                log.info("kafka.recovered", after_s=after_s)
            case "database":
                log.info("database.recovered", after_s=after_s)
            case "mail_server":
                log.info("mail_server.recovered", after_s=after_s)
            case "mail_fallback":
                log.info("mail_fallback.recovered", after_s=after_s)
            case "name_service":
                log.info("name_service.recovered", after_s=after_s)


async def pause(attempt: int, *, first: float = 0.1, longest: float = 2.0) -> None:
    """Wait before the next attempt (counted from 0): doubling, with jitter so that processes do not march in step."""
    beat()
    await asyncio.sleep(min(longest, first * 2 ** min(attempt, 10)) * random.uniform(0.5, 1))  # noqa: S311 - no secret


async def wait_for(signal: asyncio.Event, at_most: float) -> None:
    """Sleep until the signal or for `at_most` seconds, whichever is first; the signal is taken."""
    beat()
    try:
        async with asyncio.timeout(at_most):
            await signal.wait()
    except TimeoutError:
        return
    signal.clear()
