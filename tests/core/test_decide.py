from datetime import datetime

import pytest

from schemas.events import (
    Acknowledged,
    Closed,
    EmergencyMailed,
    Event,
    HandedOver,
    Heartbeat,
    Mode,
    Outcome,
    PoliceRequested,
    PoliceWish,
)
from services.alerting.core.effects import Action, Answer, Deadline, DeliveryResult, Notify, Purpose, Reason, Withdraw
from services.alerting.core.incident import Status
from tests.core.office import BERLIN, MONDAY, Desk, follow_up, minutes, report, rules


def test_a_press_tells_the_first_step_at_once() -> None:
    desk = Desk()
    incident = desk.press()
    assert desk.told() == ["wache@example.org", "leitung@example.org"]
    assert desk.changes == ["opened", "police_advised"]
    assert incident.status is Status.OPEN
    assert incident.due_at == MONDAY + minutes(2)


def test_it_escalates_on_time_and_never_ends_by_itself() -> None:
    desk = Desk()
    incident = desk.press()
    when = [desk.wait_until_due(incident).reason for _ in range(100)]
    assert when[:2] == [Reason.STEP_DUE, Reason.STEP_DUE]
    assert set(when[2:]) == {Reason.REPEAT_DUE}
    times = [(at - MONDAY).total_seconds() / 60 for at, _, _ in desk.mails]
    assert times[:6] == [0, 0, 2, 5, 10, 15]
    assert desk.told()[2:5] == ["vertretung@example.org", "bereitschaft@example.org", "bereitschaft@example.org"]
    assert len({(n.cycle, n.step, n.repetition, n.recipient.email) for _, _, n in desk.mails}) == len(desk.mails)


def test_after_an_outage_steps_keep_their_distance() -> None:
    desk = Desk()
    incident = desk.press()
    desk.now = MONDAY + minutes(60)
    desk.wait_until_due(incident)
    assert desk.told(since=desk.now) == ["vertretung@example.org"]
    assert desk.incidents[incident.id].due_at == desk.now + minutes(3)


def test_a_role_that_is_absent_is_left_out() -> None:
    desk = Desk(now=MONDAY + minutes(60 * 9))  # the office is closed: no house security
    desk.press()
    assert desk.told() == ["leitung@example.org"]


def test_a_step_with_nobody_present_is_skipped_at_once() -> None:
    steps = [{"after": "0s", "tell": ["house_security"]}, {"after": "2m", "tell": ["deputy"]}]
    policies = {"p": {"steps": steps, "repeat": "5m"}}
    desk = Desk(rules(rules=[{"name": "all", "policy": "p"}], policies=policies), now=MONDAY + minutes(600))
    incident = desk.press()
    assert desk.told() == ["vertretung@example.org"]
    assert incident.step == 1


def test_nobody_left_means_the_emergency_contacts() -> None:
    desk = Desk(rules(roles={"on_call": []}))
    incident = desk.press(site="kiosk")
    assert incident.emergency
    assert desk.told() == ["bereitschaft@example.org"]  # the kiosk has none of its own
    desk.wait_until_due(incident)
    assert desk.told() == ["bereitschaft@example.org"] * 2


def test_an_unknown_site_takes_the_ordinary_rules_with_the_organisations_people() -> None:
    desk = Desk(rules(roles={"site_management": ["zentrale@example.org"]}))
    incident = desk.press(site=None, site_text="Mars")
    assert (incident.site, incident.site_text, incident.policy_name) == (None, "Mars", "urgent")
    assert desk.told() == ["zentrale@example.org"]


def test_nobody_is_told_twice_in_one_step() -> None:
    people = {"site_management": ["x@example.org"], "house_security": ["X@example.org"], "deputy": ["y@example.org"]}
    site = {"bernburg": {"name": "B", "people": people}}
    desk = Desk(rules(sites=site))
    desk.press()
    assert desk.told() == ["X@example.org"]


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


@pytest.mark.parametrize("data", [Heartbeat(device_id="b"), EmergencyMailed(event_ids=("x",))])
def test_what_is_not_about_an_incident_changes_none(data: Heartbeat | EmergencyMailed) -> None:
    decision = Desk().give(Event(id="x", source="s", time=MONDAY, data=data))
    assert (decision.incident, decision.reason) == (None, Reason.NOT_ABOUT_AN_INCIDENT)


def test_a_second_press_in_the_room_joins_quietly() -> None:
    desk = Desk()
    first = desk.press()
    desk.now += minutes(1)
    second = desk.press(location="Raum 112")
    assert second.id == first.id
    assert len(second.reports) == 2
    assert len(desk.told()) == 2
    assert desk.changes[-1] == "merged"


@pytest.mark.parametrize(
    ("later", "data"),
    [
        (11, {}),  # too late
        (1, {"location": "Zimmer 113"}),  # another room
        (1, {"mode": Mode.EXERCISE}),  # an exercise never joins a real one
        (1, {"site": "kiosk"}),
    ],
)
def test_what_is_another_case_opens_another_incident(later: float, data: dict[str, object]) -> None:
    desk = Desk()
    desk.press()
    desk.now += minutes(later)
    desk.press(**data)
    assert len(desk.incidents) == 2


def test_two_presses_without_a_place_are_two_victims() -> None:
    desk = Desk()
    desk.press(location=None)
    desk.press(location=None)
    assert len(desk.incidents) == 2


def test_a_graver_report_alarms_anew_under_the_stricter_rule() -> None:
    desk = Desk()
    incident = desk.press(kind="form", danger_level=1)
    assert incident.policy_name == "normal"
    desk.now += minutes(1)
    decision = desk.give(report(desk.now, danger_level=3))
    assert decision.reason is Reason.MERGED_REALARMED
    assert decision.incident is not None
    assert (decision.incident.rule, decision.incident.police, decision.incident.cycle) == ("weapon", "urgent", 1)
    assert desk.told(since=desk.now) == ["wache@example.org", "leitung@example.org"]


def test_a_lesser_report_never_softens() -> None:
    desk = Desk()
    desk.press(danger_level=3)
    after = desk.press(danger_level=0, kind="form", acute=False)
    assert (after.level, after.acute, after.policy_name) == (3, True, "urgent")


def test_a_press_after_taking_over_alarms_again_after_a_quiet_time() -> None:
    desk = Desk()
    incident = desk.press()
    desk.click(incident, Action.ACKNOWLEDGE)
    desk.now += minutes(1)
    assert desk.press().due_at == MONDAY + minutes(2)
    assert desk.wait_until_due(incident).reason is Reason.ACKNOWLEDGEMENT_RAN_OUT
    desk.click(incident, Action.ACKNOWLEDGE)
    desk.now += minutes(5)
    assert desk.give(report(desk.now)).reason is Reason.MERGED_REALARMED


def test_the_same_event_is_one() -> None:
    desk = Desk()
    event = report(id="same")
    desk.give(event)
    assert desk.give(event).reason is Reason.DUPLICATE
    assert len(desk.incidents) == 1


def test_imported_history_is_silent() -> None:
    desk = Desk()
    decision = desk.give(report().model_copy(update={"imported": True}))
    assert decision.incident is not None
    assert (decision.reason, decision.effects, decision.incident.due_at) == (Reason.IMPORTED, (), None)


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


def test_the_first_accepted_mail_is_news_once() -> None:
    desk = Desk()
    incident = desk.press()
    desk.deliver(incident, Answer.ACCEPTED)
    assert desk.changes.count("notified") == 1
    assert desk.incidents[incident.id].awaited == ()


def test_a_step_that_reaches_nobody_takes_the_next_one_at_once() -> None:
    desk = Desk()
    incident = desk.press()
    reasons = [d.reason for d in desk.deliver(incident, Answer.REFUSED)]
    assert reasons == [Reason.MAIL_REFUSED, Reason.NOBODY_REACHED]
    assert desk.told()[-1] == "vertretung@example.org"
    desk.deliver(incident, Answer.REFUSED)
    assert desk.told()[-1] == "bereitschaft@example.org"
    desk.deliver(incident, Answer.REFUSED)
    assert desk.told()[-1] == "notfall@example.org"
    count = len(desk.told())
    desk.deliver(incident, Answer.REFUSED)
    assert len(desk.told()) == count  # nobody is left until the repeat
    assert desk.wait_until_due(incident).reason is Reason.REPEAT_DUE


def test_one_bad_address_does_not_hurry_the_others() -> None:
    desk = Desk()
    incident = desk.press()
    desk.deliver(incident, Answer.REFUSED, "wache@example.org")
    desk.deliver(incident, Answer.ACCEPTED, "leitung@example.org")
    assert len(desk.told()) == 2
    assert desk.incidents[incident.id].due_at == MONDAY + minutes(2)


def test_a_result_of_an_earlier_step_still_tells_that_it_was_heard() -> None:
    desk = Desk()
    incident = desk.press()
    early = [n for _, _, n in desk.mails]
    desk.wait_until_due(incident)
    n = early[0]
    result = DeliveryResult(n.recipient.email, n.purpose, n.cycle, n.step, n.repetition, Answer.ACCEPTED)
    assert desk.give(result, incident).reason is Reason.MAIL_ACCEPTED
    assert desk.give(result, incident).reason is Reason.OUTDATED_RESULT
    assert desk.changes.count("notified") == 1


def test_an_incident_keeps_the_policy_it_was_opened_under() -> None:
    desk = Desk()
    incident = desk.press()
    desk.rules = rules(policies={"urgent": {"steps": [{"after": "0s", "tell": ["deputy"]}], "repeat": "1h"}})
    desk.wait_until_due(incident)
    assert desk.incidents[incident.id].due_at == MONDAY + minutes(5)


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


def test_a_new_press_soon_after_closing_opens_it_again() -> None:
    desk = Desk()
    incident = desk.press()
    desk.click(incident, Action.CLOSE, outcome=Outcome.RESOLVED)
    desk.now += minutes(5)
    decision = desk.give(report(desk.now))
    assert decision.reason is Reason.REOPENED
    assert decision.incident is not None
    assert (decision.incident.id, decision.incident.status) == (incident.id, Status.OPEN)
    assert desk.told(since=desk.now) == ["wache@example.org", "leitung@example.org"]


@pytest.mark.parametrize(("later", "kind"), [(11, "panic"), (5, "form")])
def test_nothing_else_opens_again_what_was_closed(later: float, kind: str) -> None:
    desk = Desk()
    incident = desk.press()
    desk.click(incident, Action.CLOSE, outcome=Outcome.RESOLVED)
    desk.now += minutes(later)
    desk.press(kind=kind)
    assert desk.incidents[incident.id].status is Status.CLOSED
    assert len(desk.incidents) == 2


def test_a_form_with_the_reference_of_a_press_adds_its_details() -> None:
    desk = Desk()
    press = desk.press(reference="K-17")
    desk.now += minutes(90)
    form = desk.press(kind="form", source="forms", location=None, reference="K-17", description="…", danger_level=2)
    assert form.id == press.id
    assert form.reports[-1].description == "…"


def test_a_form_by_the_device_of_a_press_joins_it_for_a_while() -> None:
    desk = Desk()
    press = desk.press(device_id="btn-112")
    desk.now += minutes(5)
    assert desk.press(kind="form", location=None, device_id="btn-112", danger_level=2).id == press.id
    desk.now += minutes(30)
    assert desk.press(kind="form", location=None, device_id="btn-112", danger_level=2).id != press.id


def test_a_press_never_joins_another_rooms_incident_by_its_reference() -> None:
    desk = Desk()
    desk.press(reference="K-17")
    desk.press(location="Zimmer 113", reference="K-17")
    assert len(desk.incidents) == 2


def test_a_person_can_raise_the_level_and_never_lower_it() -> None:
    desk = Desk()
    incident = desk.press(danger_level=1)
    assert incident.policy_name == "normal"
    assert desk.click(incident, Action.RAISE_LEVEL, danger_level=3).reason is Reason.LEVEL_RAISED
    after = desk.incidents[incident.id]
    assert (after.level, after.policy_name, after.police, after.cycle) == (3, "urgent", "urgent", 1)
    assert desk.click(incident, Action.RAISE_LEVEL, danger_level=2).reason is Reason.LEVEL_NOT_RAISED


def test_an_event_from_the_future_happened_now() -> None:
    desk = Desk()
    found = desk.give(report(MONDAY + minutes(600))).incident
    assert found is not None
    assert found.opened_at == MONDAY


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
