"""The heart: what an input means for an incident. Everything that changes an incident goes through `decide`."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import assert_never

from schemas.events import (
    Acknowledged,
    Closed,
    EmergencyMailed,
    Event,
    HandedOver,
    Heartbeat,
    Kind,
    Outcome,
    PoliceRequested,
    Reported,
)
from schemas.lifecycle import Change
from services.alerting.core import reporting
from services.alerting.core.effects import (
    Action,
    Answer,
    Click,
    Deadline,
    Decision,
    DeliveryResult,
    Effect,
    Input,
    Notify,
    Purpose,
    Reason,
    SilenceEnded,
    Withdraw,
)
from services.alerting.core.escalation import (
    acknowledged_until,
    has_next_step,
    relay,
    reminder_at,
    restart,
    start,
    take_due_step,
    tell_emergency,
)
from services.alerting.core.incident import Again, Closing, HandOver, Incident, LevelFrom, PoliceCall, Status, Taken
from services.alerting.core.policy import Rules
from services.alerting.core.silence import silence_ended


def decide(candidates: Sequence[Incident], input: Input, *, now: datetime, rules: Rules) -> Decision:  # noqa: A002 - the word of the design
    """What becomes of an incident and what is to be done.

    Args:
        candidates: the incidents that the input may concern: the one that it names by id, or for a report those
            at the same place that are not closed. The core picks, merges or opens.
        input: an event, a deadline, a person's click or a mail's final result.
        now: the instant of the decision (aware).
        rules: the configuration and the calendar.

    Returns:
        The new state (its `revision` rises by one with each change), the effects, and a named reason. An incident
        that did not change comes back as it was, without effects.
    """
    match input:
        case Event(data=Reported() as data):
            return reporting.decide_report(candidates, input, data, now, rules)
        case Event(data=Heartbeat() | EmergencyMailed()):
            return Decision(None, (), Reason.NOT_ABOUT_AN_INCIDENT)
        case Event():
            incident = next((c for c in candidates if c.id == input.subject), None)
            if incident is None or (input.imported and not incident.imported):
                # What a file says about the past changes nothing that people are dealing with.
                return Decision(None, (), Reason.HELD)
            return _acted(incident, *_as_click(input), now=now, rules=rules)
        case Click():
            return _acted(candidates[0], input, now, now=now, rules=rules)
        case Deadline():
            return _due(candidates[0], now, rules)
        case DeliveryResult():
            return _delivered(candidates[0], input, now, rules)
        case SilenceEnded():
            return silence_ended(candidates[0], input, now, rules)
        case _:
            assert_never(input)


def _as_click(event: Event) -> tuple[Click, datetime]:
    """A follow-up event says the same as a click, at its own time."""
    match event.data:
        case Acknowledged(by=by):
            return Click(by, (Action.ACKNOWLEDGE,)), event.time
        case PoliceRequested(by=by, reference=reference):
            return Click(by, (Action.CALLED_POLICE,), reference=reference), event.time
        case HandedOver(by=by, reference=reference, on=on):
            return Click(by, (Action.HAND_OVER,), reference=reference, on=on), event.time
        case Closed(by=by, outcome=outcome, note=note, measures=measures):
            return Click(by, (Action.CLOSE,), outcome=outcome, note=note, measures=measures), event.time
        case Reported() | Heartbeat() | EmergencyMailed():
            raise AssertionError("decided before")
        case _:
            assert_never(event.data)


def _acted(incident: Incident, click: Click, at: datetime, *, now: datetime, rules: Rules) -> Decision:
    at = min(at, now)
    current = replace(incident, revision=incident.revision + 1)
    effects: list[Effect] = []
    reasons: list[Reason] = []
    for action in click.actions:
        match action:
            case Action.ACKNOWLEDGE:
                current, done, reason = _acknowledge(current, click, at, now, rules)
            case Action.CALLED_POLICE:
                current, done, reason = _police_called(current, click, at, now, rules)
            case Action.HAND_OVER:
                current, done, reason = _hand_over(current, click, at, rules)
            case Action.RAISE_LEVEL:
                current, done, reason = _raise_level(current, click, now, rules)
            case Action.CLOSE:
                current, done, reason = _close(current, click, at)
            case _:
                assert_never(action)
        effects.extend(done)
        reasons.append(reason)
    # Of several actions the page reports the one that mattered: one that changed something.
    changing = [reason for reason in reasons if reason not in _NO_CHANGE]
    if not changing:
        return Decision(incident, (), reasons[0])
    return Decision(current, () if incident.imported else tuple(effects), changing[0])


_NO_CHANGE = frozenset(
    {Reason.ALREADY_ACKNOWLEDGED, Reason.ALREADY_CLOSED, Reason.LEVEL_NOT_RAISED, Reason.OUTCOME_REFUSED}
)
_Acted = tuple[Incident, tuple[Effect, ...], Reason]


def _acknowledge(incident: Incident, click: Click, at: datetime, now: datetime, rules: Rules) -> _Acted:
    if incident.status is Status.CLOSED:
        return incident, (), Reason.ALREADY_CLOSED
    if incident.status is Status.ACKNOWLEDGED:
        return incident, (), Reason.ALREADY_ACKNOWLEDGED
    until = None if incident.imported else acknowledged_until(incident, now, rules)
    by = Taken(click.by, at, until, click.email, reminded=not (incident.told and _is_a_while(incident)))
    due_at = reminder_at(by) or until
    taken = replace(incident, status=Status.ACKNOWLEDGED, taken=by, due_at=due_at, awaited=(), reached=False)
    told = _inform(taken, Purpose.TAKEN_OVER)
    return taken, (Withdraw(), *told, relay(taken, Change.ACKNOWLEDGED, cycle=taken.cycle)), Reason.ACKNOWLEDGED


def _is_a_while(incident: Incident) -> bool:
    """Whether it was taken over for a time; until the next opening needs no reminder, that is one."""
    return incident.acute and (incident.policy.acknowledged_for is not None or incident.policy.repeat != "next_opening")


def _raise_level(incident: Incident, click: Click, now: datetime, rules: Rules) -> _Acted:
    if incident.status is Status.CLOSED:
        return incident, (), Reason.ALREADY_CLOSED
    if click.danger_level is None or click.danger_level <= incident.level:
        # Never to a laxer policy: what turned out harmless is closed, not played down.
        return incident, (), Reason.LEVEL_NOT_RAISED
    raised = replace(incident, danger_level=click.danger_level, level_from=LevelFrom.PERSON)
    if incident.imported:
        return raised, (), Reason.LEVEL_RAISED
    after, effects = reporting.alarm_graver(raised, Again.RAISED, now, rules)
    return after, effects, Reason.LEVEL_RAISED


def _police_called(incident: Incident, click: Click, at: datetime, now: datetime, rules: Rules) -> _Acted:
    first = not incident.calls
    called = replace(incident, calls=(*incident.calls, PoliceCall(click.by, at, click.reference)))
    if called.held:
        # Police on their way are no matter for a silence.
        called, effects = reporting.alarm_graver(called, Again.GRAVER, now, rules)
        return called, (relay(called, Change.POLICE_REQUESTED), *effects), Reason.POLICE_REQUESTED
    if first:
        return called, (relay(called, Change.POLICE_REQUESTED),), Reason.POLICE_REQUESTED
    return called, (), Reason.POLICE_CALLED_AGAIN


def _hand_over(incident: Incident, click: Click, at: datetime, rules: Rules) -> _Acted:
    on = click.on or at.astimezone(rules.zone(incident.site)).date()
    handed = replace(incident, hand_overs=(*incident.hand_overs, HandOver(click.by, at, on, click.reference)))
    return handed, (relay(handed, Change.HANDED_OVER),), Reason.HANDED_OVER


def _close(incident: Incident, click: Click, at: datetime) -> _Acted:
    if incident.status is Status.CLOSED:
        return incident, (), Reason.ALREADY_CLOSED
    may_be_test = incident.under_test or incident.imported
    if click.outcome is None or (click.outcome is Outcome.TEST and not may_be_test):
        # Only an announced test may end as a test: otherwise a real press could be filed away as one. What was
        # announced before there was this system is not known; a file about the past is believed.
        return incident, (), Reason.OUTCOME_REFUSED
    closed = replace(
        incident,
        status=Status.CLOSED,
        closing=Closing(click.by, at, click.outcome, click.note, click.measures),
        due_at=None,
        awaited=(),
        reached=False,
    )
    told = _inform(closed, Purpose.CLOSED)
    news = relay(closed, Change.CLOSED, outcome=click.outcome.value)
    return closed, (Withdraw(), *told, news), Reason.CLOSED


def _inform(incident: Incident, purpose: Purpose) -> tuple[Notify, ...]:
    """Those who were told of an alarm are told when somebody takes it over and when it ends."""
    if incident.imported:
        return ()
    return tuple(
        Notify(person, purpose, incident.cycle, incident.step + 1, incident.repetition, incident.urgency)
        for person in incident.told
    )


def _due(incident: Incident, now: datetime, rules: Rules) -> Decision:
    if incident.due_at is None or incident.due_at > now:
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
    return reminded, _inform(replace(reminded, told=tuple(person) or incident.told), Purpose.REMINDER)


def _delivered(incident: Incident, result: DeliveryResult, now: datetime, rules: Rules) -> Decision:
    current = replace(incident, revision=incident.revision + 1)
    if result.answer is Answer.ACCEPTED:
        return _accepted(incident, current, result)
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


def _accepted(incident: Incident, current: Incident, result: DeliveryResult) -> Decision:
    if result.purpose is not Purpose.ALARM:
        return Decision(incident, (), Reason.MAIL_ACCEPTED)
    effects: tuple[Effect, ...] = ()
    if not current.notified:
        current = replace(current, notified=True)
        effects = (relay(current, Change.NOTIFIED, step=result.step, cycle=result.cycle),)
    if _concerns_current_step(incident, result):
        current = replace(current, awaited=_without(incident.awaited, result.recipient), reached=True)
        return Decision(current, effects, Reason.MAIL_ACCEPTED)
    if effects:
        return Decision(current, effects, Reason.MAIL_ACCEPTED)
    return Decision(incident, (), Reason.OUTDATED_RESULT)


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
