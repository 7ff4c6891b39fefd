"""When the watch mails about a site: at most once a minute, and about the same reports ever more rarely. No clock."""

from dataclasses import dataclass
from typing import Final

APART: Final = 60.0
"""Seconds from one mail about a site to the next, whatever happens."""
AGAIN_AFTER: Final = (300.0, 600.0, 1200.0, 2400.0, 3600.0)
"""Seconds from one mail to the next about the same reports; the last one for ever."""


@dataclass(slots=True)
class Pace:
    """Of one site. Instants are monotonic seconds; `times` counts the mails about these reports that somebody took.

    `mailed_at` is when the last of them began, `tried_at` when the last attempt at any mail did.
    """

    mailed_at: float | None = None
    times: int = 0
    tried_at: float | None = None

    def allows(self, now: float, *, new: bool) -> bool:
        """Whether a mail may begin. `new`: at least one of the reports was in no mail yet."""
        last = max((at for at in (self.mailed_at, self.tried_at) if at is not None), default=None)
        if last is not None and now - last < APART:
            return False
        if new or self.mailed_at is None:
            return True
        return now - self.mailed_at >= AGAIN_AFTER[min(max(self.times, 1), len(AGAIN_AFTER)) - 1]

    def taken(self, began: float) -> None:
        """A mail that began then was taken by somebody's server."""
        self.mailed_at, self.times = began, self.times + 1

    def recall(self, now: float, age: float) -> None:
        """An earlier process mailed `age` seconds ago by the wall clock; one that was set back says nothing older."""
        self.mailed_at, self.times = now - max(0.0, age), 1

    def rest(self) -> None:
        """Everything is heard: the next report begins anew, but for the minute."""
        self.times = 0
