"""What `decide` makes of imported events, in whatever order a file holds them."""

from datetime import timedelta

import pytest

from schemas.events import Acknowledged, Closed, Data, Event, Kind, Outcome, PoliceRequested, Reported
from services.alerting.core.decide import decide
from services.alerting.core.effects import Action, Click, Decision, Reason
from services.alerting.core.incident import Incident, Status
from tests.core.office import MONDAY, rules

RULES = rules()


def event(id_: str, data: Data, minutes: float = 0, *, imported: bool = True) -> Event:
    subject = None if isinstance(data, Reported) else "a"
    time = MONDAY + timedelta(minutes=minutes)
    return Event(id=id_, source="akten", time=time, data=data, subject=subject, imported=imported)


def press(id_: str, minutes: float = 0, *, imported: bool = True) -> Event:
    return event(id_, Reported(kind=Kind.PANIC, site="bernburg", location="112"), minutes, imported=imported)


def give(*events: Event) -> list[Incident]:
    known: dict[str, Incident] = {}
    for one in events:
        decision = decide(list(known.values()), one, now=one.time, rules=RULES)
        assert decision.effects == ()
        if decision.incident is not None:
            known[decision.incident.id] = decision.incident
    return list(known.values())


def test_a_whole_past_life_has_no_effect_and_is_never_due() -> None:
    (incident,) = give(
        press("a"),
        press("b", 5),
        event("ack", Acknowledged(by="A"), 6),
        event("call", PoliceRequested(by="A"), 7),
        event("end", Closed(by="A", outcome=Outcome.RESOLVED), 20),
    )
    assert (incident.status, incident.due_at, incident.told) == (Status.CLOSED, None, ())
    assert incident.event_ids == ("a", "b")
    assert incident.taken is not None
    assert incident.taken.until is None


@pytest.mark.parametrize(("minutes", "incidents"), [(-9, 1), (9, 1), (-11, 2), (11, 2), (-60 * 24 * 365, 2)])
def test_the_window_holds_in_both_directions(minutes: float, incidents: int) -> None:
    assert len(give(press("a"), press("b", minutes))) == incidents


def test_a_press_before_the_closing_that_stands_later_in_the_file_reopens_nothing() -> None:
    (incident,) = give(press("a"), event("end", Closed(by="A", outcome=Outcome.RESOLVED), 30), press("b", 5))
    assert incident.status is Status.CLOSED


def test_a_press_soon_after_the_closing_reopens_silently() -> None:
    (incident,) = give(press("a"), event("end", Closed(by="A", outcome=Outcome.RESOLVED), 5), press("b", 9))
    assert (incident.status, incident.due_at) == (Status.OPEN, None)


def test_past_and_live_never_meet() -> None:
    live = decide([], press("a", imported=False), now=MONDAY, rules=RULES).incident
    assert live is not None
    joined = decide([live], press("b", 1), now=MONDAY, rules=RULES)
    assert joined.reason is Reason.IMPORTED
    said = decide([live], event("end", Closed(by="A", outcome=Outcome.FALSE_ALARM), 1), now=MONDAY, rules=RULES)
    assert said == Decision(None, (), Reason.HELD)


def test_the_desk_can_add_to_a_past_incident_without_waking_anybody() -> None:
    (past,) = give(press("a"))
    click = Click("A", (Action.RAISE_LEVEL, Action.HAND_OVER), danger_level=3)
    decision = decide([past], click, now=MONDAY + timedelta(days=900), rules=RULES)
    assert decision.incident is not None
    assert (decision.effects, decision.incident.due_at) == ((), None)
    assert (decision.incident.danger_level, len(decision.incident.hand_overs)) == (3, 1)
