"""Taking steps: who is told now, and when the next step is due.

An acute alarm never ends by itself: after the last step it is repeated until somebody takes it over. A report after
the event is told once and reminded on opening days.
"""

from datetime import datetime, timedelta
from typing import Any

from schemas.lifecycle import Change, Lifecycle
from services.alerting.core.effects import Effect, Notify, Purpose, Relay
from services.alerting.core.incident import Again, Incident, Recipient, Status, Taken
from services.alerting.core.policy import Rules
from services.alerting.core.replacing import replace

Changed = tuple[Incident, tuple[Effect, ...]]
LATE = timedelta(seconds=30)
REMIND_BEFORE = timedelta(minutes=5)
DEFAULT_ACKNOWLEDGED_FOR = timedelta(minutes=30)


def relay(incident: Incident, change: Change, *, event_ids: tuple[str, ...] | None = None, **what: Any) -> Relay:
    """A lifecycle event about the incident as it is now; imported history is never announced as news."""
    known: dict[str, Any] = {
        "incident_id": incident.id,
        "event_ids": incident.event_ids if event_ids is None else event_ids,
        "source": incident.source,
        "site": incident.site,
        "danger_level": incident.danger_level,
        "mode": incident.mode,
        "learning": incident.learning,
        "revision": incident.revision,
        # Whoever answered has heard; the process that mailed them may have ended before it recorded that.
        "notified": incident.notified or incident.status is Status.ACKNOWLEDGED,
        **what,
    }
    return Relay(change, Lifecycle.model_validate(known))


def start(incident: Incident, now: datetime, rules: Rules) -> Changed:
    """Begin a cycle: the first step now."""
    begun = replace(
        incident, status=Status.OPEN, taken=None, cycle_started_at=now, step=-1, repetition=0, emergency=False
    )
    return take_step(begun, 0, now, rules)


def restart(incident: Incident, why: Again, now: datetime, rules: Rules) -> Changed:
    """Begin anew, as a new cycle whose mails are new mails."""
    again, effects = start(replace(incident, cycle=incident.cycle + 1, again=why), now, rules)
    return again, (*effects, relay(again, Change.ESCALATED, step=again.step + 1, cycle=again.cycle))


def take_due_step(incident: Incident, now: datetime, rules: Rules) -> Changed:
    """The next step, or the last one again."""
    if has_next_step(incident):
        after, effects = take_step(incident, incident.step + 1, now, rules)
    else:
        repeated = replace(incident, repetition=incident.repetition + 1, emergency=False)
        after, effects = take_step(repeated, incident.step, now, rules)
    news = relay(after, Change.ESCALATED, step=after.step + 1, cycle=after.cycle, repetition=after.repetition)
    return after, (*effects, news)


def has_next_step(incident: Incident) -> bool:
    """Whether there are people of a later step; what is not acute stays with those told first."""
    return incident.acute and incident.step + 1 < len(incident.policy.steps)


def take_step(incident: Incident, index: int, now: datetime, rules: Rules) -> Changed:
    """Tell the people of a step. A step with nobody present is skipped at once; nobody left: emergency contacts."""
    for step in range(index, len(incident.policy.steps)):
        present = _present(incident, step, now, rules)
        if present:
            return _tell(incident, present, step, now, rules)
    last = len(incident.policy.steps) - 1
    return tell_emergency(replace(incident, step=last), now, rules)


def tell_emergency(incident: Incident, now: datetime, rules: Rules) -> Changed:
    """Tell the emergency contacts because nobody else is left; the alarm is repeated all the same."""
    return _tell(incident, _once(rules.emergency(incident.site)), incident.step, now, rules, emergency=True)


def _present(incident: Incident, step: int, now: datetime, rules: Rules) -> tuple[Recipient, ...]:
    roles = incident.policy.steps[step].tell
    return _once(tuple(person for role in roles for person in rules.people(incident.site, role, now)))


def _once(people: tuple[Recipient, ...]) -> tuple[Recipient, ...]:
    """Nobody is told twice within a step, in whatever roles; the first role named counts."""
    return tuple({person.email.casefold(): person for person in reversed(people)}.values())[::-1]


def _tell(
    incident: Incident,
    people: tuple[Recipient, ...],
    step: int,
    now: datetime,
    rules: Rules,
    *,
    emergency: bool = False,
) -> Changed:
    known = {person.email.casefold() for person in incident.told}
    told = replace(
        incident,
        step=step,
        emergency=emergency,
        awaited=tuple(person.email for person in people),
        reached=False,
        told=(*incident.told, *(person for person in people if person.email.casefold() not in known)),
        due_at=_next_due(incident, step, now, rules),
    )
    effects = tuple(
        Notify(
            recipient=person,
            purpose=Purpose.ALARM,
            cycle=told.cycle,
            step=0 if told.emergency else told.step + 1,
            repetition=told.repetition,
            urgency=told.urgency,
        )
        for person in people
    )
    return told, effects


def _next_due(incident: Incident, step: int, now: datetime, rules: Rules) -> datetime:
    if not incident.acute:
        return rules.calendar.next_opening(incident.site, now)
    steps = incident.policy.steps
    if step + 1 < len(steps):
        began = incident.cycle_started_at or now
        this, following = steps[step].after, steps[step + 1].after
        # After an outage the steps keep their distance: no burst of overdue mails.
        late = now - (began + this) > LATE
        return now + (following - this) if late else max(began + following, now)
    if isinstance(incident.policy.repeat, timedelta):
        return now + incident.policy.repeat
    return rules.calendar.next_opening(incident.site, now)


def reminder_at(taken: Taken) -> datetime | None:
    """When the person who took over is reminded that it runs out: five minutes before, or earlier in a short time."""
    if taken.until is None or taken.reminded:
        return None
    left = taken.until - taken.at
    return taken.until - min(REMIND_BEFORE, left / 3)


def acknowledged_until(incident: Incident, now: datetime, rules: Rules) -> datetime:
    """When an acknowledgement given now runs out."""
    if incident.policy.acknowledged_for is not None:
        return now + incident.policy.acknowledged_for
    if incident.policy.repeat == "next_opening" or not incident.acute:
        return rules.calendar.next_opening(incident.site, now)
    return now + DEFAULT_ACKNOWLEDGED_FOR
