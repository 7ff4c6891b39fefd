"""What the desk needs from the rest of alerting."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from services.alerting.core.effects import Click, Decision
from services.alerting.core.incident import Incident
from services.alerting.core.plans import Plans


@dataclass(frozen=True, slots=True)
class TimelineEntry:
    """One thing that happened: `what` is the value of a `Reason`, `by` the person who did it, `why` in their words.

    `called`: with it they said that they had called the police.
    """

    at: datetime
    what: str
    by: str | None
    why: str | None = None
    called: bool = False


class Arrival(StrEnum):
    """What became of the mails of the newest alarm to somebody; of its repeats the best counts."""

    ACCEPTED = "accepted"
    WAITING = "waiting"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Arrived:
    """`at`: when a mail server took the first of them.

    `earlier`: where it took none of them, when it took one of an alarm before, which may have been about less.
    """

    how: Arrival
    at: datetime | None = None
    earlier: datetime | None = None


class Incidents(Protocol):
    """Reads incidents and applies clicks.

    Every method raises sqlalchemy.exc.DBAPIError or OSError when the database cannot be reached; then nothing
    was written.
    """

    async def find(self, incident_id: str) -> Incident | None:
        """The incident as it is now."""

    async def timeline(self, incident_id: str) -> Sequence[TimelineEntry]:
        """What happened, oldest first."""

    async def arrived(self, incident: Incident) -> Mapping[str, Arrived]:
        """What became of the alarm mails, by address in lower case; without those whom none was sent to."""

    async def act(self, incident_id: str, click: Click) -> Decision:
        """Apply a person's click; LookupError when there is no such incident."""

    async def join(self, incident_id: str, into: str, *, by: str, reason: str) -> Decision:
        """Make an incident part of another; LookupError when one of them does not exist."""

    async def split(self, incident_id: str, event_ids: Sequence[str], *, by: str, reason: str) -> Decision:
        """Let reports be a matter of their own; LookupError when there is no such incident."""

    async def could_join(self, incident: Incident) -> Sequence[Incident]:
        """Incidents that it may be made part of, the youngest first."""

    async def open(self) -> Sequence[Incident]:
        """Incidents that are not closed, and those closed in the last 24 hours."""

    async def spared(self, incident_id: str) -> bool:
        """Whether a hold keeps retention away from it."""

    async def plans(self) -> Plans:
        """Announced tests and planned silences that are not over."""
