"""What a simulation gives: every mail that would be sent, and what happened between them."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from services.alerting.core.effects import Purpose
from services.alerting.core.incident import Incident
from services.alerting.core.policy import Rules


@dataclass(frozen=True, slots=True)
class Plan:
    """What is supposed besides the events. Durations count from the opening of each incident.

    Attributes:
        acknowledge_after: a person who was told takes over then (None: nobody answers).
        close_after: a person who was told closes it then (None: nobody does).
        until: how long each incident is followed after the last event about it (None: until the last step has been
            repeated twice).
        undeliverable: addresses, case folded, whose mail server refuses every mail for good.
    """

    acknowledge_after: timedelta | None = None
    close_after: timedelta | None = None
    until: timedelta | None = None
    undeliverable: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Mail:
    """One mail. `step` counts from 1; 0 stands for the emergency contacts, as in `effects.Notify`."""

    at: datetime
    incident_id: str
    purpose: Purpose
    step: int
    cycle: int
    repetition: int
    role: str
    address: str
    subject: str
    refused: bool


@dataclass(frozen=True, slots=True)
class Happening:
    """Something else that one should know: `what` is a stable name, `text` says it in English."""

    at: datetime
    incident_id: str
    what: str
    text: str


Entry = Mail | Happening


@dataclass(slots=True)
class Timeline:
    """Everything in order of time; `incidents` as they are at the end, in the order of their opening.

    `followed_until` is when each incident's mails end in this timeline because it was followed no longer; one that is
    closed has none. `unheard` are the ids of follow-ups about incidents that no report opened.
    """

    rules: Rules
    entries: list[Entry] = field(default_factory=list)
    incidents: dict[str, Incident] = field(default_factory=dict)
    followed_until: dict[str, datetime] = field(default_factory=dict)
    unheard: tuple[str, ...] = ()

    @property
    def mails(self) -> list[Mail]:
        """The mails alone."""
        return [entry for entry in self.entries if isinstance(entry, Mail)]

    def after(self, entry: Entry) -> timedelta:
        """How long after the opening of its incident."""
        return entry.at - self.incidents[entry.incident_id].opened_at

    def local(self, entry: Entry) -> datetime:
        """Its time at the site."""
        return entry.at.astimezone(self.rules.zone(self.incidents[entry.incident_id].site))
