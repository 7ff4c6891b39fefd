from datetime import datetime

import pytest

from schemas.events import (
    Acknowledged,
    Closed,
    Event,
    HandedOver,
    Heartbeat,
    Outcome,
    PoliceRequested,
    PoliceWish,
)
from services.alerting.core.effects import Action, Deadline, Decision, Notify, Purpose, Reason, Relay, Withdraw
from services.alerting.core.incident import Status
from tests.core.office import BERLIN, MONDAY, Desk, follow_up, minutes, report


def test_acknowledging_stops_escalation_for_a_limited_time() -> None:
    desk = Desk()
    incident = desk.press()
    desk.now += minutes(1)
    decision = desk.click(incident, Action.ACKNOWLEDGE)
    assert decision.reason is Reason.ACKNOWLEDGED
    assert isinstance(decision.effects[0], Withdraw)
    informed = [e.recipient.email for e in decision.effects if isinstance(e, Notify)]
    assert informed == ["wache@example.org", "leitung@example.org"]
    desk.now = MONDAY + minutes(20)
    assert desk.give(Deadline(MONDAY + minutes(2)), incident).reason is Reason.NOT_DUE
    assert desk.wait_until_due(incident).reason is Reason.REMINDED
    assert desk.now == MONDAY + minutes(26)
    assert desk.wait_until_due(incident).reason is Reason.ACKNOWLEDGEMENT_RAN_OUT
    assert desk.now == MONDAY + minutes(31)
    assert desk.incidents[incident.id].status is Status.OPEN
    assert desk.told(since=desk.now) == ["wache@example.org", "leitung@example.org"]
    assert desk.incidents[incident.id].cycle == 1


def relayed(decision: Decision) -> list[bool]:
    """Of each change that is announced, whether it says that somebody has heard."""
    return [effect.data.notified for effect in decision.effects if isinstance(effect, Relay)]


def test_whoever_takes_over_has_heard_although_no_mail_is_known_to_have_arrived() -> None:
    desk = Desk()
    incident = desk.press()
    assert not incident.notified
    assert relayed(desk.click(incident, Action.ACKNOWLEDGE)) == [True]
    # So has whoever reports the same once more: the watch is not to mail about it.
    assert relayed(desk.give(report(desk.now, kind="form", danger_level=1))) == [True]


def test_whoever_closes_has_heard_and_a_press_after_that_is_to_be_heard_anew() -> None:
    desk = Desk()
    incident = desk.press()
    assert relayed(desk.click(incident, Action.CLOSE, outcome=Outcome.RESOLVED)) == [True]
    assert relayed(desk.give(report(desk.now))) == [False, False]


def test_the_second_person_does_not_take_it_from_the_first() -> None:
    desk = Desk()
    incident = desk.press()
    desk.click(incident, Action.ACKNOWLEDGE, by="first")
    before = desk.incidents[incident.id]
    decision = desk.click(incident, Action.ACKNOWLEDGE, by="second")
    assert decision.reason is Reason.ALREADY_ACKNOWLEDGED
    assert decision.incident is before
    assert decision.effects == ()


def test_a_call_to_the_police_is_recorded_with_its_name_and_does_not_acknowledge() -> None:
    desk = Desk()
    incident = desk.press()
    assert desk.click(incident, Action.CALLED_POLICE, by="A").reason is Reason.POLICE_REQUESTED
    assert desk.click(incident, Action.CALLED_POLICE, by="B").reason is Reason.POLICE_CALLED_AGAIN
    after = desk.incidents[incident.id]
    assert [call.by for call in after.calls] == ["A", "B"]
    assert after.status is Status.OPEN
    assert desk.changes.count("police_requested") == 1


def test_taking_over_and_having_called_go_together() -> None:
    desk = Desk()
    incident = desk.press()
    assert desk.click(incident, Action.ACKNOWLEDGE, Action.CALLED_POLICE).reason is Reason.ACKNOWLEDGED
    after = desk.incidents[incident.id]
    assert (after.status, len(after.calls), after.revision) == (Status.ACKNOWLEDGED, 1, incident.revision + 1)


def test_a_call_counts_although_somebody_else_was_first_to_take_over() -> None:
    desk = Desk()
    incident = desk.press()
    desk.click(incident, Action.ACKNOWLEDGE)
    decision = desk.click(incident, Action.ACKNOWLEDGE, Action.CALLED_POLICE, by="second")
    assert decision.reason is Reason.POLICE_REQUESTED
    taken = desk.incidents[incident.id].taken
    assert taken is not None
    assert taken.by == "A. Muster"


def test_a_form_that_says_called_records_the_request() -> None:
    desk = Desk()
    incident = desk.press(kind="form", danger_level=2, police=PoliceWish.CALLED, reported_by="B. Beispiel")
    assert [call.by for call in incident.calls] == ["B. Beispiel"]
    assert "police_requested" in desk.changes


@pytest.mark.parametrize("level", [0, 1, 2, 3, None])
def test_no_rule_ever_records_a_request(level: int | None) -> None:
    desk = Desk()
    incident = desk.press(danger_level=level, police=PoliceWish.WANTED)
    assert incident.calls == ()
    assert "police_requested" not in desk.changes


def test_closing_tells_those_who_were_told_and_ends_it() -> None:
    desk = Desk()
    incident = desk.press()
    decision = desk.click(incident, Action.CLOSE, outcome=Outcome.RESOLVED, note="…", measures=("Hausverbot",))
    assert decision.reason is Reason.CLOSED
    assert {e.purpose for e in decision.effects if isinstance(e, Notify)} == {Purpose.CLOSED}
    after = desk.incidents[incident.id]
    assert after.due_at is None
    assert desk.click(incident, Action.CLOSE, outcome=Outcome.FALSE_ALARM).reason is Reason.ALREADY_CLOSED
    assert desk.click(incident, Action.ACKNOWLEDGE).reason is Reason.ALREADY_CLOSED


@pytest.mark.parametrize(("seen", "reason"), [(1, Reason.PRESSED_SINCE), (2, Reason.CLOSED), (None, Reason.CLOSED)])
def test_nobody_ends_a_press_that_their_page_did_not_show(seen: int | None, reason: Reason) -> None:
    """A page of before the upgrade does not say what it showed."""
    desk = Desk()
    incident = desk.press()
    desk.now += minutes(1)
    desk.press()
    decision = desk.click(incident, Action.CLOSE, outcome=Outcome.FALSE_ALARM, seen=seen)
    assert decision.reason is reason
    assert (decision.effects == ()) is (reason is Reason.PRESSED_SINCE)


def test_a_form_that_came_since_keeps_nobody_from_ending_it() -> None:
    desk = Desk()
    incident = desk.press()
    desk.give(report(desk.now, kind="form", danger_level=1))
    assert len(desk.incidents[incident.id].reports) == 2
    assert desk.click(incident, Action.CLOSE, outcome=Outcome.RESOLVED, seen=1).reason is Reason.CLOSED


@pytest.mark.parametrize(("closed_after", "reason"), [(2, Reason.PRESSED_SINCE), (4, Reason.CLOSED)])
def test_an_end_that_a_later_press_has_overtaken_is_none(closed_after: float, reason: Reason) -> None:
    """Two ingests, or an outage of Kafka, which the urgent leaves first: the end comes when the press is known."""
    desk = Desk()
    incident, closed = desk.press(), Closed(by="Leitstelle", outcome=Outcome.RESOLVED)
    desk.now += minutes(3)
    desk.press()
    desk.now += minutes(2)
    decision = desk.give(follow_up(closed, incident, MONDAY + minutes(closed_after)), incident)
    assert decision.reason is reason
    due = desk.incidents[incident.id].due_at
    assert (due is None) is (reason is Reason.CLOSED)


def test_a_slow_clock_keeps_nobody_from_ending_what_was_pressed_once() -> None:
    desk = Desk()
    incident, closed = desk.press(), Closed(by="Leitstelle", outcome=Outcome.RESOLVED)
    assert desk.give(follow_up(closed, incident, MONDAY - minutes(5)), incident).reason is Reason.CLOSED


def test_a_real_press_cannot_be_filed_away_as_a_test() -> None:
    desk = Desk()
    incident = desk.press()
    assert desk.click(incident, Action.CLOSE, outcome=Outcome.TEST).reason is Reason.OUTCOME_REFUSED
    assert desk.incidents[incident.id].status is Status.OPEN


def test_a_hand_over_counts_long_after_closing() -> None:
    desk = Desk()
    incident = desk.press()
    desk.click(incident, Action.CLOSE, outcome=Outcome.RESOLVED)
    desk.now += minutes(60 * 24 * 40)
    assert desk.click(incident, Action.HAND_OVER, reference="123/26").reason is Reason.HANDED_OVER
    after = desk.incidents[incident.id]
    assert after.hand_overs[0].on == desk.now.date()
    assert after.status is Status.CLOSED


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (Acknowledged(by="A"), Reason.ACKNOWLEDGED),
        (PoliceRequested(by="A"), Reason.POLICE_REQUESTED),
        (HandedOver(by="A"), Reason.HANDED_OVER),
        (Closed(by="A", outcome=Outcome.RESOLVED), Reason.CLOSED),
    ],
)
def test_follow_up_events_say_the_same_as_clicks(data: Acknowledged, reason: Reason) -> None:
    desk = Desk()
    incident = desk.press()
    assert desk.give(follow_up(data, incident, MONDAY), incident).reason is reason


def test_a_follow_up_before_its_report_is_held() -> None:
    event = Event(id="x", source="bus", time=MONDAY, data=Acknowledged(by="A"), subject="unknown")
    assert Desk().give(event).reason is Reason.HELD


def test_what_is_not_about_an_incident_changes_none() -> None:
    decision = Desk().give(Event(id="x", source="s", time=MONDAY, data=Heartbeat(device_id="b")))
    assert (decision.incident, decision.reason) == (None, Reason.NOT_ABOUT_AN_INCIDENT)


def test_what_is_over_is_told_once_and_reminded_on_opening_days() -> None:
    desk = Desk()
    incident = desk.press(kind="form", acute=False, danger_level=2)
    assert desk.told() == ["leitung@example.org"]
    days = []
    for _ in range(3):
        desk.wait_until_due(incident)
        days.append(desk.now)
    # Tuesday is Epiphany; Wednesday and Thursday have no hours
    assert days == [datetime(2026, 1, day, 8, tzinfo=BERLIN) for day in (9, 12, 13)]
    assert desk.told() == ["leitung@example.org"] * 4


def test_the_person_who_took_over_is_reminded_before_it_alarms_again() -> None:
    desk = Desk()
    incident = desk.press()
    desk.click(incident, Action.ACKNOWLEDGE, email="leitung@example.org")
    decision = desk.wait_until_due(incident)
    assert [(e.recipient.email, e.purpose) for e in decision.effects if isinstance(e, Notify)] == [
        ("leitung@example.org", Purpose.REMINDER)
    ]
    assert desk.incidents[incident.id].status is Status.ACKNOWLEDGED


def test_when_only_a_name_took_over_everybody_told_is_reminded() -> None:
    desk = Desk()
    incident = desk.press()
    desk.give(follow_up(Acknowledged(by="somebody on the phone"), incident, MONDAY), incident)
    decision = desk.wait_until_due(incident)
    assert len([e for e in decision.effects if isinstance(e, Notify)]) == 2


def test_a_person_can_raise_the_level_and_never_lower_it() -> None:
    desk = Desk()
    incident = desk.press(danger_level=1)
    assert incident.policy_name == "normal"
    assert desk.click(incident, Action.RAISE_LEVEL, danger_level=3).reason is Reason.LEVEL_RAISED
    after = desk.incidents[incident.id]
    assert (after.level, after.policy_name, after.police, after.cycle) == (3, "urgent", "urgent", 1)
    assert desk.click(incident, Action.RAISE_LEVEL, danger_level=2).reason is Reason.LEVEL_NOT_RAISED


def test_measures_can_be_added_after_the_end() -> None:
    desk = Desk()
    incident = desk.press()
    assert desk.click(incident, Action.ADD_MEASURES, measures=("Hausverbot",)).reason is Reason.NOT_CLOSED
    desk.click(incident, Action.CLOSE, outcome=Outcome.RESOLVED, measures=("Hausverbot",))
    decision = desk.click(incident, Action.ADD_MEASURES, measures=("Hausverbot", "Strafanzeige"))
    assert (decision.reason, decision.effects) == (Reason.MEASURES_ADDED, ())
    assert decision.incident is not None
    assert decision.incident.closing is not None
    assert decision.incident.closing.measures == ("Hausverbot", "Strafanzeige")
