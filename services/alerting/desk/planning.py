"""What the page of tests and silences needs from the rest of alerting."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from services.alerting.core.plans import AnnouncedTest, Plans, Silence


@dataclass(frozen=True, slots=True)
class Planned:
    """What is running or to come, and when each device (normalised id) was last tried.

    `held_back`: ids of the incidents that a silence holds back so far, by the silence's id.
    """

    plans: Plans = field(default_factory=Plans)
    held_back: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    last_tests: Mapping[str, datetime] = field(default_factory=dict)


class Planning(Protocol):
    """Reads and makes plans.

    Every method raises sqlalchemy.exc.DBAPIError or OSError when the database cannot be reached; then nothing was
    written.
    """

    async def planned(self) -> Planned:
        """Everything that is not over."""

    async def announce(self, test: AnnouncedTest) -> None:
        """Announce a test."""

    async def silence(self, silence: Silence) -> None:
        """Plan a silence."""

    async def end(self, plan_id: str, by: str) -> bool:
        """End a test or a silence now; False if there is none that is not over."""
