"""An office for tests of the core: short configuration, readable inputs."""

import itertools
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from schemas.configuration import Configuration
from schemas.events import EmergencyMailed, Event, Kind, Reported
from services.alerting.core import joining, splitting
from services.alerting.core.calendar import OfficeCalendar
from services.alerting.core.decide import decide
from services.alerting.core.effects import (
    Action,
    Answer,
    Click,
    Deadline,
    Decision,
    DeliveryResult,
    Input,
    Joined,
    Notify,
    Purpose,
    Relay,
)
from services.alerting.core.incident import Incident
from services.alerting.core.learning import keys_of
from services.alerting.core.plans import AnnouncedTest, Plans, Silence
from services.alerting.core.policy import Rules

BERLIN = ZoneInfo("Europe/Berlin")
MONDAY = datetime(2026, 1, 5, 9, 12, tzinfo=BERLIN).astimezone(UTC)
"""An ordinary Monday, office open until 12; Tuesday the 6th is Epiphany, a holiday in Saxony-Anhalt only."""

CONFIGURATION: dict[str, Any] = {
    "organisation": {
        "name": "Jobcenter Beispiel",
        "holidays": "DE-ST",
        "emergency": ["bereitschaft@example.org"],
    },
    "sites": {
        "bernburg": {
            "name": "Bernburg (Parkstraße)",
            "short": "Bernburg",
            "locations": [{"id": "r112", "name": "Zimmer 112", "short": "Zi. 112", "aliases": ["112", "Raum 112"]}],
            "opening_hours": "Mo,Fr 08:00-12:00; Tu 08:00-12:00,13:00-18:00",
            "closed": ["2026-12-24"],
            "people": {
                "site_management": [{"name": "A. Muster", "email": "leitung@example.org"}],
                "house_security": {"people": ["wache@example.org"], "when": "open"},
                "deputy": ["vertretung@example.org"],
            },
            "emergency": ["notfall@example.org"],
        },
        "kiosk": {"name": "Kiosk", "people": {}},
    },
    "roles": {"on_call": ["bereitschaft@example.org"]},
    "sources": {
        "buttons": {"type": "native", "kind": "panic", "key_sha256": "0" * 64},
        "forms": {"type": "native", "kind": "form", "key_sha256": "1" * 64, "danger_level": 1},
        "new": {
            "type": "native",
            "kind": "panic",
            "key_sha256": "2" * 64,
            "learn": True,
            "test_address": "test@example.org",
        },
    },
    "rules": [
        {"name": "after the event", "when": {"kind": "form", "acute": False}, "policy": "notice"},
        {"name": "weapon", "when": {"danger_level": 3}, "police": "urgent", "policy": "urgent"},
        {"name": "violence", "when": {"danger_level": [2]}, "police": "advised", "policy": "urgent"},
        {"name": "at night", "when": {"hours": "closed", "danger_level": [1]}, "policy": "on_call_only"},
        {"name": "everything else", "policy": "normal"},
    ],
    "policies": {
        "urgent": {
            "steps": [
                {"after": "0s", "tell": ["house_security", "site_management"]},
                {"after": "2m", "tell": ["deputy"]},
                {"after": "5m", "tell": ["on_call"]},
            ],
            "repeat": "5m",
            "acknowledged_for": "30m",
        },
        "normal": {"steps": [{"after": "0s", "tell": ["site_management"]}], "repeat": "15m"},
        "on_call_only": {"steps": [{"after": "0s", "tell": ["on_call"]}], "repeat": "10m"},
        "notice": {"steps": [{"after": "0s", "tell": ["site_management"]}], "repeat": "next_opening"},
    },
}


def rules(**changes: Any) -> Rules:
    """Rules of the test office; keyword arguments replace top-level keys."""
    configuration = Configuration.model_validate(CONFIGURATION | changes)
    return Rules(configuration, OfficeCalendar(configuration))


_numbers = itertools.count(1)


def report(now: datetime = MONDAY, *, id: str | None = None, source: str = "buttons", **data: Any) -> Event:  # noqa: A002 - the envelope's own word
    """A reported event; by default a press in room 112."""
    fields: dict[str, Any] = {"kind": Kind.PANIC, "site": "bernburg", "location": "Zimmer 112"} | data
    return Event(id=id or f"e{next(_numbers)}", source=source, time=now, data=Reported.model_validate(fields))


def follow_up(data: Any, incident: Incident, now: datetime) -> Event:
    """Another event about an incident."""
    return Event(id=f"e{next(_numbers)}", source="bus", time=now, data=data, subject=incident.id)


def emergency_mail(at: datetime, *event_ids: str) -> Event:
    """Ingest mailed the emergency contacts about these reports itself."""
    return Event(id=f"e{next(_numbers)}", source="watch", time=at, data=EmergencyMailed(event_ids=event_ids))


@dataclass
class Desk:
    """Decides one input after the other, as the shell does, and remembers what was told to whom."""

    rules: Rules = field(default_factory=rules)
    now: datetime = MONDAY
    incidents: dict[str, Incident] = field(default_factory=dict)
    mails: list[tuple[datetime, str, Notify]] = field(default_factory=list)
    changes: list[str] = field(default_factory=list)
    inputs: list[tuple[datetime, str | None, Input]] = field(default_factory=list)
    in_force: list[Plans] = field(default_factory=list)
    """The plans that each input was decided under."""

    def give(self, cause: Input, about: Incident | None = None) -> Decision:
        """One input, decided now."""
        if isinstance(cause, Event) and isinstance(cause.data, Reported):
            keys = set(keys_of(cause, self.rules))
            candidates = [i for i in self.incidents.values() if not keys.isdisjoint(i.keys)]
        else:
            candidates = [self.incidents[about.id]] if about else []
        decision = decide(candidates, cause, now=self.now, rules=self.rules)
        self.in_force.append(self.rules.plans)
        self.inputs.append((self.now, decision.incident.id if decision.incident else None, cause))
        if decision.incident is not None:
            self.incidents[decision.incident.id] = decision.incident
        for effect in decision.effects:
            if isinstance(effect, Notify):
                assert decision.incident is not None
                self.mails.append((self.now, decision.incident.id, effect))
            elif isinstance(effect, Relay):
                self.changes.append(effect.change.value)
        return decision

    def announce(self, *devices: str, site: str | None = "bernburg", minutes: float = 30) -> AnnouncedTest:
        """A test that begins now; without devices all of the site."""
        ends = self.now + timedelta(minutes=minutes)
        test = AnnouncedTest(f"t{next(_numbers)}", None if devices else site, devices, self.now, ends, "A. Muster")
        self.rules = replace(self.rules, plans=replace(self.rules.plans, tests=(*self.rules.plans.tests, test)))
        return test

    def silence(self, *, site: str | None = "bernburg", device: str | None = None, minutes: float = 120) -> Silence:
        """A silence that begins now."""
        ends = self.now + timedelta(minutes=minutes)
        here = None if device else site
        silence = Silence(f"s{next(_numbers)}", here, device, self.now, ends, "Umzug", "A. Muster")
        plans = replace(self.rules.plans, silences=(*self.rules.plans.silences, silence))
        self.rules = replace(self.rules, plans=plans)
        return silence

    def press(self, **data: Any) -> Incident:
        """A press now; the incident that it opened or joined."""
        found = self.give(report(self.now, **data)).incident
        assert found is not None
        return found

    def wait_until_due(self, incident: Incident) -> Decision:
        """Time moves to the incident's due time, and its deadline is handled."""
        due = self.incidents[incident.id].due_at
        assert due is not None, "nothing is due"
        self.now = max(self.now, due)
        return self.give(Deadline(due), incident)

    def click(self, incident: Incident, *actions: Action, by: str = "A. Muster", **what: Any) -> Decision:
        """A person does something on the page."""
        return self.give(Click(by, actions, **what), incident)

    def join(self, incident: Incident, into: Incident, by: str = "A. Muster") -> Decision:
        """A person makes one incident part of another; returns what became of the one that goes on."""
        what = Joined(by, "dieselbe Sache", self.incidents[incident.id])
        decision = self.give(what, into)
        follows = joining.to_the_other(what, decision)
        if follows is not None:
            self.give(follows, incident)
        return decision

    def split(self, incident: Incident, *event_ids: str, by: str = "A. Muster") -> Decision:
        """A person says that reports are another matter; returns what became of these, or the refusal."""
        before = self.incidents[incident.id]
        former = next((i for id_ in event_ids if (i := self.incidents.get(id_)) is not None and i.joined), None)
        what = splitting.leaving(before, event_ids, former, by=by, reason="eine andere Sache")
        decision = self.give(what, incident)
        opens = splitting.to_the_new_one(before, what, decision)
        return decision if opens is None else self.give(opens, former)

    def deliver(self, incident: Incident, answer: Answer, recipient: str | None = None) -> list[Decision]:
        """Every mail of the current step (or the one to `recipient`) gets this answer."""
        current = self.incidents[incident.id]
        step = 0 if current.emergency else current.step + 1
        return [
            self.give(DeliveryResult(address, Purpose.ALARM, current.cycle, step, current.repetition, answer), incident)
            for address in current.awaited
            if recipient in {None, address}
        ]

    def told(self, since: datetime | None = None) -> list[str]:
        """Addresses of alarm mails, in order."""
        return [
            n.recipient.email
            for at, _, n in self.mails
            if n.purpose is Purpose.ALARM and (since is None or at >= since)
        ]


def minutes(count: float) -> timedelta:
    """A duration."""
    return timedelta(minutes=count)
