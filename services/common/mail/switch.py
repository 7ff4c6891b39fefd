"""When all mails go over the fallback server, and when the normal one is trusted again. No clock, no I/O."""

from dataclasses import dataclass
from enum import Enum
from typing import Final

FAILURES: Final = 5
"""So many failures of the normal server in a row engage the fallback …"""
TROUBLE: Final = 10.0
"""… or a failure so many seconds after the first of a row."""
QUIET: Final = 300.0
"""After so many seconds without a failure, a server that lets us in is trusted again without a mail to prove it."""


class Change(Enum):
    """What an observation changed."""

    ENGAGED = "engaged"
    RELEASED = "released"


@dataclass(slots=True)
class Switch:
    """What is known of the normal server; `now` is always seconds of a steady clock.

    While the fallback is engaged, a server that can be reached again gets one mail as a trial: many a relay that is in
    trouble still greets.
    """

    engaged: bool = False
    failures: int = 0
    since: float | None = None
    """When the row of failures began."""
    _last: float = 0.0
    _unreachable: bool = False
    _trial: bool = False

    def normal_first(self) -> bool:
        """Whether the next mail is to be tried on the normal server first; takes the trial."""
        if not self.engaged:
            return True
        trial, self._trial = self._trial, False
        return trial

    def failed(self, now: float, *, reached: bool) -> Change | None:
        """The normal server did not take a mail for its own reasons, or (not `reached`) could not be talked to."""
        self.failures += 1
        self.since = now if self.since is None else self.since
        self._last, self._unreachable, self._trial = now, not reached, False
        if self.engaged or not (self.failures >= FAILURES or now - self.since >= TROUBLE):
            return None
        self.engaged = True
        return Change.ENGAGED

    def worked(self) -> Change | None:
        """The normal server took a mail, or had a word of its own to say about one."""
        was, self.engaged = self.engaged, False
        self.failures, self.since, self._trial = 0, None, False
        return Change.RELEASED if was else None

    def greeted(self, now: float) -> Change | None:
        """A probe was let in. That proves enough where being away was all that was wrong."""
        if self._unreachable or now - self._last >= QUIET:
            return self.worked()
        self._trial = self.engaged
        return None
