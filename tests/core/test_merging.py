from typing import Any

import pytest

from schemas.events import (
    Mode,
    Outcome,
)
from schemas.lifecycle import Change
from services.alerting.core.decide import decide
from services.alerting.core.effects import Action, Answer, Reason, Relay
from services.alerting.core.incident import Status
from services.alerting.core.messages import compose
from tests.core.office import MONDAY, Desk, minutes, report, rules


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


@pytest.mark.parametrize("imported", [False, True])
def test_where_nothing_is_to_join_two_of_the_same_moment_are_two(imported: bool) -> None:
    """They come in one batch, and so at one time."""
    desk = Desk(rules=rules(merge={"within": "0s"}))
    for id_ in ("a", "b"):
        event = report(desk.now, id=id_, device_id="b1").model_copy(update={"imported": imported})
        desk.give(event)
    assert len(desk.incidents) == 2
    form = report(desk.now, kind="form", device_id="b1", location=None)
    desk.give(form.model_copy(update={"imported": imported}))
    assert len(desk.incidents) == 3


def test_two_presses_without_a_place_are_two_victims() -> None:
    desk = Desk()
    desk.press(location=None)
    desk.press(location=None)
    assert len(desk.incidents) == 2


def test_which_of_two_that_fit_is_joined_does_not_depend_on_the_order_of_looking_them_up() -> None:
    desk = Desk()
    both = [
        desk.press(reference="r1", device_id="b1", location=None),
        desk.press(reference="r1", device_id="b1", site="kiosk", location="113"),
    ]
    assert both[0].id != both[1].id
    assert both[0].opened_at == both[1].opened_at
    third = report(desk.now, kind="form", reference="r1", device_id="b1", site="kiosk", location="113")
    joined = [decide(candidates, third, now=desk.now, rules=desk.rules).incident for candidates in (both, both[::-1])]
    assert joined[0] is not None
    assert joined[0] == joined[1]
    assert joined[0].id in {incident.id for incident in both}


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


@pytest.mark.parametrize("form", [{"danger_level": 0}, {"danger_level": 1}, {"danger_level": 0, "acute": False}])
@pytest.mark.parametrize("press", [{}, {"category": "insult"}])
def test_a_press_that_says_no_level_is_not_played_down_by_a_mild_form_before_it(
    form: dict[str, Any], press: dict[str, Any]
) -> None:
    desk = Desk()
    alone = Desk().press(danger_level=None, category=None)
    mild = desk.press(kind="form", category=None, **form)
    assert mild.level < 2
    desk.now += minutes(1)
    decision = desk.give(report(desk.now, **({"danger_level": None, "category": None} | press)))
    after = decision.incident
    assert decision.reason is Reason.MERGED_REALARMED
    assert after is not None
    assert (after.id, after.danger_level, after.level, after.acute) == (mild.id, None, 2, True)
    assert (after.rule, after.policy_name, after.police) == (alone.rule, alone.policy_name, alone.police)
    assert desk.told(since=desk.now) == ["wache@example.org", "leitung@example.org"]


def test_a_form_about_what_is_over_makes_a_press_no_graver() -> None:
    desk = Desk()
    desk.press(danger_level=1, category=None)
    desk.now += minutes(5)
    details: dict[str, Any] = {"kind": "form", "danger_level": None, "category": None}
    decision = desk.give(report(desk.now, **details, acute=False))
    assert (decision.reason, decision.incident and decision.incident.danger_level) == (Reason.MERGED, 1)
    lasting = desk.give(report(desk.now, **details, acute=True))
    assert (lasting.reason, lasting.incident and lasting.incident.level) == (Reason.MERGED_REALARMED, 2)


def test_a_level_that_is_said_after_one_that_nobody_knew_counts_when_it_is_no_lower() -> None:
    for said, level in ((1, None), (2, 2), (3, 3)):
        desk = Desk()
        desk.press(danger_level=None, category=None)
        assert desk.press(danger_level=said).danger_level == level


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


def test_a_call_to_the_police_about_what_is_over_is_none_about_what_began_anew() -> None:
    desk = Desk()
    incident = desk.press(danger_level=2)
    desk.click(incident, Action.CALLED_POLICE)
    desk.click(incident, Action.CLOSE, outcome=Outcome.RESOLVED)
    desk.now += minutes(5)
    again = desk.press(danger_level=2)
    link = "https://desk.example.org/a/x"
    (notify, *_) = [notify for at, _, notify in desk.mails if at == desk.now]
    mail = compose(again, notify, desk.rules, now=desk.now, link=link)
    assert mail.subject.endswith(" · 110")
    assert "POLIZEI EMPFOHLEN – Anruf bei 110 noch nicht bestätigt." in mail.text
    assert "110 wählen: „" in mail.text
    assert "angerufen um" not in mail.text
    desk.changes.clear()
    called = desk.click(again, Action.CALLED_POLICE, by="B. Muster").incident
    assert called is not None
    assert desk.changes == ["police_requested"], "of this call the control room hears, too"
    assert [call.by for call in called.calls] == ["A. Muster", "B. Muster"], "the yearly report counts both"
    assert "angerufen um" in compose(called, notify, desk.rules, now=desk.now, link=link).text


def test_whoever_presses_again_may_say_that_the_police_were_called() -> None:
    desk = Desk()
    incident = desk.press()
    desk.click(incident, Action.CLOSE, outcome=Outcome.RESOLVED)
    desk.now += minutes(5)
    desk.changes.clear()
    desk.press(police="called")
    assert "police_requested" in desk.changes


def test_of_a_press_that_opens_it_again_nobody_has_heard_until_a_mail_is_taken() -> None:
    """Ingest's watch relies on it: whoever was told of the first one thinks that it is over."""
    desk = Desk()
    incident = desk.press()
    desk.deliver(incident, Answer.ACCEPTED)
    desk.click(desk.incidents[incident.id], Action.CLOSE, outcome=Outcome.RESOLVED)
    desk.now += minutes(5)
    decision = desk.give(report(desk.now, id="again"))
    assert [effect.data.notified for effect in decision.effects if isinstance(effect, Relay)] == [False, False]
    assert decision.incident is not None
    told = [decision for decision in desk.deliver(decision.incident, Answer.ACCEPTED) if decision.effects]
    (news,) = (effect for effect in told[0].effects if isinstance(effect, Relay))
    assert (news.change, news.data.event_ids) == (Change.NOTIFIED, (incident.id, "again"))


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


def test_a_device_that_no_register_knows_is_one_however_it_is_spelt() -> None:
    desk = Desk()
    for device_id in ("ghost-1", "GHOST_1", "ghost1"):
        desk.press(location=None, device_id=device_id)
    desk.press(location=None, device_id="ghost-2")
    assert [len(incident.reports) for incident in desk.incidents.values()] == [3, 1]
