"""What the page of holds needs from the rest of alerting."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from services.alerting.core.incident import Incident


@dataclass(frozen=True, slots=True)
class Hold:
    """While it stands, retention forgets and deletes nothing of the incident."""

    incident: Incident
    reason: str
    by: str
    at: datetime


class Holding(Protocol):
    """Reads, places and ends holds.

    Every method raises sqlalchemy.exc.DBAPIError or OSError when the database cannot be reached; then nothing was
    written.
    """

    async def standing(self) -> Sequence[Hold]:
        """All that stand, the oldest first."""

    async def find(self, name: str) -> Sequence[Incident]:
        """The incidents with this id or code, the newest first."""

    async def place(self, incident_id: str, *, reason: str, by: str) -> bool:
        """Place a hold; False if one stands already. LookupError when there is no such incident."""

    async def end(self, incident_id: str, *, by: str) -> bool:
        """End it; False if none stands."""
