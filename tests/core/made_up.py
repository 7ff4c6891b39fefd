"""A made-up organisation and incidents for tests of what people read."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from schemas.configuration import Configuration
from schemas.events import Category, Event, Kind, Reported
from services.alerting.core.decide import decide
from services.alerting.core.effects import Click, Deadline, Decision, Notify, Purpose
from services.alerting.core.incident import Incident
from services.alerting.core.policy import Rules
from tests.support.organisation import organisation

PRESSED_AT = datetime(2026, 1, 5, 8, 12, 33, tzinfo=UTC)
"""09:12 in Bernburg, a Monday."""
LINK = "https://alarm.example.org/a/token"


class AlwaysOpen:
    """A calendar without closing times; the next opening is 08:00 UTC on the next day."""

    def is_open(self, site: str | None, now: datetime) -> bool:
        return True

    def next_opening(self, site: str | None, now: datetime) -> datetime:
        return (now + timedelta(days=1)).replace(hour=7, minute=0, second=0, microsecond=0)


def rules(**changes: Any) -> Rules:
    content = organisation()
    content["policies"]["urgent"] = {
        "steps": [
            {"after": "0s", "tell": ["house_security", "site_management"]},
            {"after": "2m", "tell": ["deputy"]},
            {"after": "5m", "tell": ["on_call"]},
        ],
        "repeat": "5m",
        "acknowledged_for": "30m",
    }
    content.update(changes)
    return Rules(Configuration.model_validate(content), AlwaysOpen())


def press(given: Rules, *, at: datetime = PRESSED_AT, event_id: str = "press-1", **report: Any) -> Decision:
    defaults = {
        "kind": Kind.PANIC,
        "site": "bernburg",
        "location": "112",
        "danger_level": 2,
        "category": Category.THREAT,
    }
    data = Reported.model_validate(defaults | report)
    return decide([], Event(id=event_id, source="buttons", time=at, data=data), now=at, rules=given)


def pressed(given: Rules, **report: Any) -> Incident:
    incident = press(given, **report).incident
    assert incident is not None
    return incident


def after(incident: Incident, *inputs: Click | Deadline, given: Rules, at: datetime) -> Incident:
    for what in inputs:
        decided = decide([incident], what, now=at, rules=given).incident
        assert decided is not None
        incident = decided
    return incident


def due(incident: Incident, given: Rules) -> tuple[Incident, Notify]:
    """The next step, with the first mail that it sends."""
    assert incident.due_at is not None
    decision = decide([incident], Deadline(incident.due_at), now=incident.due_at, rules=given)
    assert decision.incident is not None
    return decision.incident, next(effect for effect in decision.effects if isinstance(effect, Notify))


def notify(incident: Incident, purpose: Purpose = Purpose.ALARM, role: str = "house_security") -> Notify:
    person = next((person for person in incident.told if person.role == role), incident.told[0])
    step = incident.step + 1
    return Notify(replace(person, role=role), purpose, incident.cycle, step, incident.repetition, incident.urgency)
