"""What a person's act means for an incident: taking over, calling the police, raising the level, closing.

A follow-up event from another system says the same as a click, at its own time.
"""

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
    Probe,
    Reported,
)
from schemas.lifecycle import Change
from services.alerting.core import calls, reporting
from services.alerting.core.effects import Action, Click, Decision, Effect, Notify, Purpose, Reason, Withdraw
from services.alerting.core.escalation import acknowledged_until, relay, reminder_at
from services.alerting.core.incident import Again, Closing, HandOver, Incident, LevelFrom, PoliceCall, Status, Taken
from services.alerting.core.policy import Rules
from services.alerting.core.replacing import replace


def as_click(event: Event) -> tuple[Click, datetime]:
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
        case Reported() | Heartbeat() | EmergencyMailed() | Probe():
            raise AssertionError("decided before")
        case _:
            assert_never(event.data)


def acted(incident: Incident, click: Click, at: datetime, *, now: datetime, rules: Rules) -> Decision:
    """One person's act, of one or two actions at once; `at` is when it happened, never later than `now`."""
    if incident.joined is not None:
        return Decision(incident, (), Reason.ALREADY_JOINED)
    if incident.learning:
        return Decision(incident, (), Reason.ALREADY_CLOSED)
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
            case Action.ADD_MEASURES:
                current, done, reason = _add_measures(current, click)
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
    {
        Reason.ALREADY_ACKNOWLEDGED,
        Reason.ALREADY_CLOSED,
        Reason.PRESSED_SINCE,
        Reason.LEVEL_NOT_RAISED,
        Reason.OUTCOME_REFUSED,
        Reason.NOT_CLOSED,
    }
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
    told = inform(taken, Purpose.TAKEN_OVER)
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
    first = not calls.standing(incident)
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
    if _pressed_unseen(incident, click, at):
        return incident, (), Reason.PRESSED_SINCE
    closed = replace(
        incident,
        status=Status.CLOSED,
        closing=Closing(click.by, at, click.outcome, click.note, click.measures),
        due_at=None,
        awaited=(),
        reached=False,
    )
    told = inform(closed, Purpose.CLOSED)
    news = relay(closed, Change.CLOSED, outcome=click.outcome.value, notified=True)
    return closed, (Withdraw(), *told, news), Reason.CLOSED


def _pressed_unseen(incident: Incident, click: Click, at: datetime) -> bool:
    """Whether somebody pressed of whom the person who ends it cannot know: nobody else would look after that press.

    They know what their page showed. Another system's news may be overtaken by a press: it knows what was before it.
    """
    if click.seen is not None:
        unseen = incident.reports[click.seen :]
    else:
        unseen = tuple(report for report in incident.reports[1:] if report.at > at)
    return not incident.imported and any(report.kind is Kind.PANIC for report in unseen)


def _add_measures(incident: Incident, click: Click) -> _Acted:
    """House bans and complaints often follow days after the end; before it they belong to the closing itself."""
    if incident.closing is None:
        return incident, (), Reason.NOT_CLOSED
    measures = tuple(dict.fromkeys((*incident.closing.measures, *click.measures)))
    return replace(incident, closing=replace(incident.closing, measures=measures)), (), Reason.MEASURES_ADDED


def inform(incident: Incident, purpose: Purpose) -> tuple[Notify, ...]:
    """Those who were told of an alarm are told when somebody takes it over and when it ends."""
    if incident.imported:
        return ()
    return tuple(
        Notify(person, purpose, incident.cycle, incident.step + 1, incident.repetition, incident.urgency)
        for person in incident.told
    )
