"""Incidents for benchmarks: decided by the core, and what the database holds of them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from bench.systems import rufkette_configuration
from schemas.configuration import Configuration
from schemas.events import Category, Event, Kind, Reported
from services.alerting.changes import Changes
from services.alerting.core.calendar import OfficeCalendar
from services.alerting.core.policy import Rules

SITES: Final = tuple(f"amt-{number:02}" for number in range(24))
"""Enough of them for every partition of the topic to get some."""


def configuration() -> dict[str, Any]:
    """As for the other benchmarks, with many sites."""
    one = rufkette_configuration()
    (site,) = one["sites"].values()
    one["sites"] = dict.fromkeys(("bernburg", *SITES), site)
    return one


def rules_of(raw: dict[str, Any]) -> Rules:
    parsed = Configuration.model_validate(raw)
    return Rules(parsed, OfficeCalendar(parsed))


def report(number: int, run: str, now: datetime) -> Event:
    """A press in a room of its own, as ingest publishes it."""
    data = Reported(
        kind=Kind.PANIC, site=SITES[number % len(SITES)], location=f"R{run}-{number}", danger_level=2,
        category=Category.THREAT,
    )  # fmt: skip
    return Event(id=f"bench-{run}-{number}", source="buttons", time=now, data=data)


def opened(events: Sequence[Event], rules: Rules, now: datetime) -> Changes:
    """Everything that alerting writes for these reports."""
    changes = Changes(now, rules, "")
    for event in events:
        changes.decide([], event)
    return changes
