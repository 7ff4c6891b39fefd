"""The heart: what an input means for an incident. Everything that changes an incident goes through `decide`."""

from collections.abc import Sequence
from datetime import datetime
from typing import assert_never

from schemas.events import (
    Closed,
    EmergencyMailed,
    Event,
    Heartbeat,
    Kind,
    Probe,
    Reported,
)
from schemas.lifecycle import Change
from services.alerting.core import joining, learning, reporting, splitting
from services.alerting.core.acting import acted, as_click, inform
from services.alerting.core.effects import (
    Answer,
    Click,
    Deadline,
    Decision,
    DeliveryResult,
    Effect,
    Input,
    Joined,
    JoinedInto,
    Purpose,
    Reason,
    SilenceEnded,
    SplitFrom,
    SplitOff,
)
from services.alerting.core.emergency import emergency_mailed
from services.alerting.core.escalation import (
    has_next_step,
    relay,
    reminder_at,
    restart,
    start,
    take_due_step,
    tell_emergency,
)
from services.alerting.core.incident import Again, Incident, Status, Taken
from services.alerting.core.policy import Rules
from services.alerting.core.replacing import replace
from services.alerting.core.silence import silence_ended


def decide(candidates: Sequence[Incident], input: Input, *, now: datetime, rules: Rules) -> Decision:  # noqa: A002 - the word of the design
    """What becomes of an incident and what is to be done.

    Args:
        candidates: the incidents that the input may concern: the one that it names by id (or the one which that one
            has joined), for a report those at the same place that are not closed, for an emergency mail the one that
            holds its reports. The core picks, merges or opens.
        input: an event, a deadline, a person's click or regrouping, or a mail's final result.
        now: the instant of the decision (aware).
        rules: the configuration and the calendar.

    Returns:
        The new state (its `revision` rises by one with each change), the effects, and a named reason. An incident
        that did not change comes back as it was, without effects.
    """
    match input:
        case Event(data=Reported() as data):
            decided = learning.decide_learning if rules.learns(input) else reporting.decide_report
            return decided(candidates, input, data, now, rules)
        case Event(data=Heartbeat() | Probe()):
            return Decision(None, (), Reason.NOT_ABOUT_AN_INCIDENT)
        case Event(data=EmergencyMailed() as data):
            holder = next((c for c in candidates if not set(data.event_ids).isdisjoint(c.event_ids)), None)
            return emergency_mailed(holder, input, data, now, rules)
        case Event(subject=subject):
            incident = next((c for c in candidates if subject in (c.id, *c.absorbed, *c.event_ids)), None)
            if incident is None or (input.imported and not incident.imported):
                # What a file says about the past changes nothing that people are dealing with.
                return Decision(None, (), Reason.HELD)
            if subject != incident.id and incident.absorbed and isinstance(input.data, Closed):
                # Whoever ends an incident by an old id does not know what else it is part of.
                return Decision(incident, (), Reason.ALREADY_JOINED)
            return acted(incident, *as_click(input), now=now, rules=rules)
        case Click():
            return acted(candidates[0], input, now, now=now, rules=rules)
        case Deadline():
            return _due(candidates[0], now, rules)
        case DeliveryResult():
            return _delivered(candidates[0], input, now, rules)
        case SilenceEnded():
            return silence_ended(candidates[0], input, now, rules)
        case Joined() | JoinedInto() | SplitOff() | SplitFrom():
            return _regrouped(next(iter(candidates), None), input, now, rules)
        case _:
            assert_never(input)


def _regrouped(
    incident: Incident | None, what: Joined | JoinedInto | SplitOff | SplitFrom, now: datetime, rules: Rules
) -> Decision:
    """A person joined incidents or split one; only what was split off may be new."""
    if isinstance(what, SplitFrom):
        return splitting.split_from(incident, what, now, rules)
    assert incident is not None
    match what:
        case Joined():
            return joining.joined(incident, what, now, rules)
        case JoinedInto():
            return joining.joined_into(incident, what, now)
        case SplitOff():
            return splitting.split_off(incident, what)
        case _:
            assert_never(what)


def _due(incident: Incident, now: datetime, rules: Rules) -> Decision:
    # An open one that has lost its due time is overdue, whatever took it away.
    lost = incident.due_at is None and incident.status is Status.OPEN and not incident.imported
    if not lost and (incident.due_at is None or incident.due_at > now):
        return Decision(incident, (), Reason.NOT_DUE)
    current = replace(incident, revision=incident.revision + 1)
    if incident.held:
        return Decision(*start(current, now, rules), Reason.SILENCE_ENDED)
    if incident.taken is not None and reminder_at(incident.taken) is not None and not _ran_out(incident.taken, now):
        return Decision(*_remind(current, incident.taken), Reason.REMINDED)
    if incident.status is Status.ACKNOWLEDGED:
        why = Again.PRESSED if _pressed_since(incident) else Again.RAN_OUT
        return Decision(*restart(current, why, now, rules), Reason.ACKNOWLEDGEMENT_RAN_OUT)
    reason = Reason.STEP_DUE if has_next_step(incident) else Reason.REPEAT_DUE
    return Decision(*take_due_step(current, now, rules), reason)


def _pressed_since(incident: Incident) -> bool:
    taken = incident.taken
    return taken is not None and any(r.kind is Kind.PANIC and r.received_at >= taken.at for r in incident.reports[1:])


def _ran_out(taken: Taken, now: datetime) -> bool:
    return taken.until is not None and taken.until <= now


def _remind(incident: Incident, taken: Taken) -> tuple[Incident, tuple[Effect, ...]]:
    """Before it alarms again: the person who took over, or everybody told if we know only a name."""
    reminded = replace(incident, taken=replace(taken, reminded=True), due_at=taken.until)
    person = [p for p in incident.told if taken.email and p.email.casefold() == taken.email.casefold()]
    return reminded, inform(replace(reminded, told=tuple(person) or incident.told), Purpose.REMINDER)


def _delivered(incident: Incident, result: DeliveryResult, now: datetime, rules: Rules) -> Decision:
    if result.answer is Answer.ACCEPTED:
        return _accepted(incident, result)
    current = replace(incident, revision=incident.revision + 1)
    failed = relay(current, Change.DELIVERY_FAILED, failure="permanent", step=result.step, cycle=result.cycle)
    if not _concerns_current_step(incident, result):
        return Decision(current, (failed,), Reason.MAIL_REFUSED)
    current = replace(current, awaited=_without(incident.awaited, result.recipient))
    if current.awaited or current.reached:
        return Decision(current, (failed,), Reason.MAIL_REFUSED)
    nobody = relay(current, Change.DELIVERY_FAILED, failure="nobody_reached", step=result.step, cycle=result.cycle)
    if has_next_step(current):
        after, effects = take_due_step(current, now, rules)
    elif current.emergency:
        after, effects = current, ()  # even they cannot be reached: the repeat tries again
    else:
        after, effects = tell_emergency(current, now, rules)
    return Decision(after, (failed, nobody, *effects), Reason.NOBODY_REACHED)


def _accepted(incident: Incident, result: DeliveryResult) -> Decision:
    if result.purpose is not Purpose.ALARM:
        return Decision(incident, (), Reason.MAIL_ACCEPTED)
    concerned = _concerns_current_step(incident, result)
    if not concerned and incident.notified:
        return Decision(incident, (), Reason.OUTDATED_RESULT)
    heard = replace(
        incident,
        revision=incident.revision + 1,
        notified=True,
        awaited=_without(incident.awaited, result.recipient) if concerned else incident.awaited,
        reached=incident.reached or concerned,
    )
    news = () if incident.notified else (relay(heard, Change.NOTIFIED, step=result.step, cycle=result.cycle),)
    return Decision(heard, news, Reason.MAIL_ACCEPTED)


def _concerns_current_step(incident: Incident, result: DeliveryResult) -> bool:
    step = 0 if incident.emergency else incident.step + 1
    current = (incident.cycle, step, incident.repetition)
    return (
        incident.status is Status.OPEN
        and result.purpose is Purpose.ALARM
        and (result.cycle, result.step, result.repetition) == current
        and result.recipient in incident.awaited
    )


def _without(awaited: tuple[str, ...], recipient: str) -> tuple[str, ...]:
    return tuple(address for address in awaited if address != recipient)
