"""Announced tests and planned silences: an alarm is real when in doubt, and nothing is ever swallowed."""

from typing import Any

import pytest

from schemas.events import Acknowledged, Category, Event, Mode, Outcome, PoliceRequested, PoliceWish
from services.alerting.core.effects import Action, Notify, Purpose, Reason, Relay, SilenceEnded
from services.alerting.core.incident import Again, Incident, Status
from services.alerting.core.messages import compose
from services.alerting.core.summary import held_back
from tests.core.office import MONDAY, Desk, follow_up, minutes, report, rules

HARMLESS: dict[str, Any] = {"source": "forms", "kind": "form", "danger_level": 1}


def written(desk: Desk, incident: Incident, purpose: Purpose = Purpose.ALARM) -> tuple[str, list[str]]:
    """Subject and lines of the last mail for this purpose."""
    notify = [n for _, id_, n in desk.mails if id_ == incident.id and n.purpose is purpose][-1]
    message = compose(desk.incidents[incident.id], notify, desk.rules, now=desk.now, link="https://x.example.org")
    return message.subject, message.text.splitlines()


# announced tests


def test_a_press_within_an_announced_test_alarms_as_ever_and_says_what_it_is() -> None:
    desk, quiet = Desk(), Desk()
    desk.announce("btn1")
    tried, real = desk.press(device_id="BTN-1", danger_level=2), quiet.press(device_id="BTN-1", danger_level=2)
    assert desk.told() == quiet.told()
    assert desk.changes == quiet.changes
    assert (tried.policy_name, tried.police, tried.due_at) == (real.policy_name, real.police, real.due_at)
    subject, lines = written(desk, tried)
    assert subject == "ALARM Zi. 112 Bernburg · ANGEKÜNDIGTER TEST – im Zweifel echt · 110"
    assert lines[0].startswith("Zimmer 112, Bernburg")
    assert lines[1] == "ANGEKÜNDIGTER TEST – im Zweifel echt."
    assert "TEST" not in written(quiet, real)[0]


@pytest.mark.parametrize(
    ("press", "under_test"),
    [
        ({"device_id": "btn1"}, True),
        ({"device_id": "btn2"}, False),  # another button
        ({}, False),  # no button named
        ({"device_id": "btn1", "kind": "form", "danger_level": 2}, False),  # forms are never tried like this
        ({"device_id": "btn1", "mode": Mode.EXERCISE}, False),  # is marked as an exercise already
    ],
)
def test_what_belongs_to_a_test_of_a_device(press: dict[str, Any], under_test: bool) -> None:
    desk = Desk()
    desk.announce("btn1")
    assert desk.press(**press).under_test is under_test


@pytest.mark.parametrize(("site", "under_test"), [("bernburg", True), ("kiosk", False)])
def test_a_test_of_a_site_covers_all_its_presses(site: str, under_test: bool) -> None:
    desk = Desk()
    desk.announce()
    assert desk.press(site=site).under_test is under_test


@pytest.mark.parametrize(
    ("pressed", "arrived", "under_test"),
    [
        (0, 0, True),  # as it begins
        (29, 29, True),
        (30, 30, False),  # as it ends
        (-5, 3, False),  # pressed before, delayed on its way: somebody needed help
        (20, 45, False),  # arrived long after: in doubt, real
        (90, 10, True),  # a clock that runs ahead counts as now
    ],
)
def test_both_times_of_a_press_must_be_within_the_test(pressed: int, arrived: int, under_test: bool) -> None:
    desk = Desk()
    desk.announce("btn1")
    desk.now = MONDAY + minutes(arrived)
    decision = desk.give(report(MONDAY + minutes(pressed), device_id="btn1"))
    assert decision.incident is not None
    assert decision.incident.under_test is under_test


def test_only_what_was_under_test_may_be_closed_as_test() -> None:
    desk = Desk()
    desk.announce("btn1")
    tried, real = desk.press(device_id="btn1"), desk.press(device_id="btn2", location="Zimmer 113")
    desk.now += minutes(45)  # the test is over, the incident is still one of it
    assert desk.click(real, Action.CLOSE, outcome=Outcome.TEST).reason is Reason.OUTCOME_REFUSED
    assert desk.click(tried, Action.CLOSE, outcome=Outcome.TEST).reason is Reason.CLOSED


def test_a_real_report_at_the_place_of_a_test_alarms_anew_as_real() -> None:
    desk = Desk()
    desk.announce("btn1")
    incident = desk.press(device_id="btn1", danger_level=2)
    desk.click(incident, Action.ACKNOWLEDGE)
    decision = desk.give(report(desk.now, device_id="btn2", danger_level=2))
    assert decision.reason is Reason.MERGED_REALARMED
    after = desk.incidents[incident.id]
    assert (after.under_test, after.again, after.status) == (False, Again.REAL, Status.OPEN)
    subject, lines = written(desk, after)
    assert "TEST" not in subject
    assert any("ECHT, kein Test" in line for line in lines)
    assert desk.click(incident, Action.CLOSE, outcome=Outcome.TEST).reason is Reason.OUTCOME_REFUSED


def test_a_test_in_the_room_of_a_real_alarm_stays_part_of_it() -> None:
    desk = Desk()
    real = desk.press(device_id="btn2")
    desk.announce("btn1")
    assert desk.press(device_id="btn1").id == real.id
    assert not desk.incidents[real.id].under_test


def test_a_test_never_opens_a_real_incident_again() -> None:
    desk = Desk()
    real = desk.press(device_id="btn2")
    desk.click(real, Action.CLOSE, outcome=Outcome.RESOLVED)
    desk.announce("btn1")
    closed = desk.incidents[real.id]
    assert desk.press(device_id="btn1").id != real.id
    assert desk.incidents[real.id] == closed


def test_a_press_after_a_test_was_closed_is_real() -> None:
    desk = Desk()
    desk.announce("btn1", minutes=5)
    tried = desk.press(device_id="btn1")
    desk.click(tried, Action.CLOSE, outcome=Outcome.TEST)
    desk.now += minutes(6)
    decision = desk.give(report(desk.now, device_id="btn1"))
    assert decision.incident is not None
    assert decision.incident.status is Status.OPEN
    assert not decision.incident.under_test


# planned silences


def test_a_harmless_form_is_held_back_and_told_when_the_silence_ends() -> None:
    desk = Desk()
    silence = desk.silence(minutes=120)
    incident = desk.press(**HARMLESS)
    assert incident.held
    assert desk.mails == []
    assert desk.changes == ["opened", "suppressed"]
    assert incident.due_at == silence.ends_at
    assert desk.wait_until_due(incident).reason is Reason.SILENCE_ENDED
    assert desk.told() == ["leitung@example.org"]
    assert not desk.incidents[incident.id].held
    assert any("geplanten Ruhe" in line for line in written(desk, incident)[1])
    assert desk.wait_until_due(incident).reason is Reason.REPEAT_DUE


def test_the_lifecycle_says_why_without_what_people_wrote() -> None:
    desk = Desk()
    desk.silence()
    effects = desk.give(report(desk.now, **HARMLESS)).effects
    said = [effect.data for effect in effects if isinstance(effect, Relay) and effect.change.value == "suppressed"]
    assert [data.reason for data in said] == ["planned_silence"]


@pytest.mark.parametrize(
    "loud",
    [
        {"source": "buttons", "kind": "panic", "danger_level": 0},  # never a press, however harmless it says it is
        {"danger_level": 2},
        {"danger_level": 3},
        {"source": "nobody knows", "danger_level": None},  # level unknown
        {"danger_level": None, "category": Category.THREAT},  # level 2 by its category
        {"kind": "manual"},  # a person at the desk
        {"mode": Mode.EXERCISE},
        {"police": PoliceWish.WANTED},
        {"police": PoliceWish.CALLED},
        {"site": "kiosk"},
        {"site": "elsewhere"},
    ],
)
def test_what_no_silence_holds_back(loud: dict[str, Any]) -> None:
    desk = Desk()
    desk.silence()
    incident = desk.press(**(HARMLESS | loud))
    assert not incident.held
    assert desk.told()


@pytest.mark.parametrize(("level", "held"), [(0, True), (1, True), (2, False), (3, False)])
def test_the_level_decides_even_where_no_rule_asks_for_the_police(level: int, held: bool) -> None:
    desk = Desk(rules(rules=[{"name": "everything", "policy": "normal"}]))
    desk.silence()
    assert desk.press(**(HARMLESS | {"danger_level": level})).held is held


@pytest.mark.parametrize("quiet", [{"danger_level": 0}, {"acute": False}, {"danger_level": None}, {"location": None}])
def test_what_a_silence_holds_back(quiet: dict[str, Any]) -> None:
    desk = Desk()  # the source's default level is 1
    desk.silence()
    assert desk.press(**(HARMLESS | quiet)).held


@pytest.mark.parametrize(("device", "held"), [("TERMINAL-1", True), ("terminal2", False), (None, False)])
def test_a_silence_of_a_device(device: str | None, held: bool) -> None:
    desk = Desk()
    desk.silence(device="terminal1")
    assert desk.press(**HARMLESS, device_id=device).held is held


@pytest.mark.parametrize(("after", "held"), [(-1, False), (0, True), (119, True), (120, False)])
def test_a_silence_begins_and_ends_by_itself(after: int, held: bool) -> None:
    desk = Desk()
    desk.silence(minutes=120)
    desk.now = MONDAY + minutes(after)
    assert desk.press(**HARMLESS).held is held


@pytest.mark.parametrize(
    "graver",
    [
        {"source": "buttons", "kind": "panic", "danger_level": 0},
        {"danger_level": 2},
        {"source": "nobody knows", "danger_level": None},
        {"police": PoliceWish.CALLED},
    ],
)
def test_a_graver_report_breaks_through_at_once(graver: dict[str, Any]) -> None:
    desk = Desk()
    desk.silence()
    incident = desk.press(**HARMLESS)
    decision = desk.give(report(desk.now, **(HARMLESS | graver)))
    assert decision.reason is Reason.MERGED_REALARMED
    assert desk.told()
    assert not desk.incidents[incident.id].held


def test_a_further_harmless_report_waits_with_the_first() -> None:
    desk = Desk()
    silence = desk.silence()
    incident = desk.press(**HARMLESS)
    decision = desk.give(report(desk.now, **HARMLESS))
    assert decision.reason is Reason.SUPPRESSED
    assert desk.incidents[incident.id].due_at == silence.ends_at
    assert desk.mails == []


def test_what_was_closed_or_taken_over_meanwhile_is_not_told() -> None:
    desk = Desk()
    desk.silence()
    closed, taken = desk.press(**HARMLESS), desk.press(**HARMLESS, location="Zimmer 113")
    desk.click(closed, Action.CLOSE, outcome=Outcome.RESOLVED)
    desk.give(follow_up(Acknowledged(by="A. Muster"), taken, desk.now), taken)
    assert desk.incidents[closed.id].due_at is None
    assert not desk.incidents[taken.id].held
    assert desk.mails == []
    assert desk.wait_until_due(taken).reason is Reason.ACKNOWLEDGEMENT_RAN_OUT  # there is nobody to remind
    assert desk.told()


def test_a_level_raised_by_a_person_breaks_through() -> None:
    desk = Desk()
    desk.silence()
    incident = desk.press(**HARMLESS)
    desk.click(incident, Action.RAISE_LEVEL, danger_level=2)
    assert desk.told()


def test_a_call_to_the_police_breaks_through() -> None:
    desk = Desk()
    desk.silence()
    incident = desk.press(**HARMLESS)
    decision = desk.give(follow_up(PoliceRequested(by="A. Muster"), incident, desk.now), incident)
    assert decision.reason is Reason.POLICE_REQUESTED
    assert desk.told()
    assert desk.changes == ["opened", "suppressed", "police_requested", "escalated"]


def test_an_imported_form_is_never_held_back() -> None:
    desk = Desk()
    desk.silence()
    event = report(desk.now, **HARMLESS)
    decision = desk.give(Event(**(dict(event) | {"imported": True})))
    assert decision.reason is Reason.IMPORTED


def test_a_silence_that_ends_early_tells_all_of_it() -> None:
    desk = Desk()
    silence = desk.silence(minutes=600)
    first, second = desk.press(**HARMLESS), desk.press(**(HARMLESS | {"danger_level": 0}), location="Zimmer 113")
    desk.give(report(desk.now, **HARMLESS))
    desk.click(second, Action.CLOSE, outcome=Outcome.RESOLVED)
    desk.now += minutes(30)
    summary = tuple(held_back(desk.incidents[incident.id]) for incident in (first, second))
    decision = desk.give(SilenceEnded(silence.id, summary), first)
    assert decision.reason is Reason.SILENCE_ENDED
    told = [(e.recipient.email, e.purpose) for e in decision.effects if isinstance(e, Notify)]
    assert told == [("leitung@example.org", Purpose.ALARM), ("leitung@example.org", Purpose.SILENCE_ENDED)]
    subject, lines = written(desk, first, Purpose.SILENCE_ENDED)
    assert subject == "HINWEIS Bernburg · Geplante Ruhe beendet"
    assert "– 09:12 Uhr, Zimmer 112, Bernburg (Parkstraße): Stufe 1 (laut Meldung) (2 Meldungen)" in lines
    assert "– 09:12 Uhr, Zimmer 113, Bernburg (Parkstraße): Stufe 0 (laut Meldung)" in lines
    assert desk.give(SilenceEnded(silence.id, summary), first).reason is Reason.NOT_DUE
    assert desk.give(SilenceEnded(silence.id), second).reason is Reason.NOT_DUE


def test_the_summary_comes_even_if_all_were_closed() -> None:
    desk = Desk()
    silence = desk.silence()
    incident = desk.press(**HARMLESS)
    desk.click(incident, Action.CLOSE, outcome=Outcome.RESOLVED)
    decision = desk.give(SilenceEnded(silence.id, (held_back(incident),)), incident)
    assert [e.purpose for e in decision.effects if isinstance(e, Notify)] == [Purpose.SILENCE_ENDED]
    assert desk.incidents[incident.id].status is Status.CLOSED


def test_the_end_of_another_silence_changes_nothing() -> None:
    desk = Desk()
    desk.silence()
    incident = desk.press(**HARMLESS)
    decision = desk.give(SilenceEnded("another", (held_back(incident),)), incident)
    assert decision.reason is Reason.NOT_DUE
    assert desk.incidents[incident.id].held


def test_a_long_list_is_cut_and_says_so() -> None:
    desk = Desk()
    silence = desk.silence()
    incident = desk.press(**HARMLESS)
    desk.give(SilenceEnded(silence.id, (held_back(incident),) * 40), incident)
    lines = written(desk, incident, Purpose.SILENCE_ENDED)[1]
    assert sum(line.startswith("–") for line in lines) == 30
    assert "und 10 weitere" in lines
