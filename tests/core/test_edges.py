"""The edges of rules, one by one: each of these tests is here because `make mutations` showed what others miss."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

import pytest

from schemas.events import Acknowledged, Category, Outcome, Reported
from schemas.lifecycle import Change, Lifecycle
from services.alerting.core.effects import Action, Answer, Decision, Effect, Notify, Reason, Relay
from services.alerting.core.incident import Again, Closing, LevelFrom
from services.alerting.core.policy import Rules, level_of
from tests.core.office import BERLIN, CONFIGURATION, MONDAY, Desk, follow_up, minutes, report, rules


@pytest.mark.parametrize(
    ("category", "level"),
    [
        ("insult", 0),
        ("house_rules", 0),
        ("property_damage", 1),
        ("threat", 2),
        ("assault", 2),
        ("self_harm_threat", 2),
        ("weapon", 3),
        ("bomb_threat", 3),
    ],
)
def test_each_category_has_its_level(category: str, level: int) -> None:
    assert level_of(Reported.model_validate({"kind": "form", "category": category}), rules(), "forms") == (
        level,
        LevelFrom.CATEGORY,
    )


def test_a_category_that_is_as_grave_as_unknown_counts_for_a_press() -> None:
    press = Reported.model_validate({"kind": "panic", "category": Category.THREAT})
    assert level_of(press, rules(), "buttons") == (2, LevelFrom.CATEGORY)


@pytest.mark.parametrize("text", ["id 7", "NAME 7", "Short 7", "alias 7"])
def test_a_location_has_four_kinds_of_names(text: str) -> None:
    room = {"id": "id-7", "name": "name 7", "short": "short 7", "aliases": ["alias 7"]}
    found = rules(sites=_site(locations=[room])).location("bernburg", text)
    assert found is not None
    assert found.id == "id-7"


def test_a_location_without_a_short_name_has_no_other_for_it() -> None:
    ours = rules(sites=_site(locations=[{"id": "x", "name": "y"}]))
    assert ours.location("bernburg", "y") is not None
    assert ours.location("bernburg", "None") is None


def test_a_site_may_have_its_own_language_and_time_zone() -> None:
    ours = rules(sites=_site(language="en", timezone="Europe/Lisbon"))
    assert (ours.language("bernburg"), ours.zone("bernburg").key) == ("en", "Europe/Lisbon")
    assert (ours.language("elsewhere"), ours.zone("elsewhere")) == ("de", BERLIN)


# mails and news name the step that they belong to


def steps_of(effects: Iterable[Effect]) -> list[tuple[int, int, int]]:
    return [(e.cycle, e.step, e.repetition) for e in effects if isinstance(e, Notify)]


def news_of(decision: Decision, change: Change) -> Lifecycle:
    (found,) = [e.data for e in decision.effects if isinstance(e, Relay) and e.change is change]
    return found


def test_each_mail_names_its_cycle_step_and_repetition() -> None:
    desk = Desk()
    opened = desk.give(report())
    incident = opened.incident
    assert incident is not None
    assert steps_of(opened.effects) == [(0, 1, 0)] * 2
    for expected in ((0, 2, 0), (0, 3, 0), (0, 3, 1), (0, 3, 2)):
        decision = desk.wait_until_due(incident)
        assert steps_of(decision.effects) == [expected]
        told = news_of(decision, Change.ESCALATED)
        assert (told.cycle, told.step, told.repetition) == expected
    desk.click(incident, Action.ACKNOWLEDGE)
    desk.wait_until_due(incident)
    decision = desk.wait_until_due(incident)
    assert steps_of(decision.effects) == [(1, 1, 0)] * 2  # counted from the beginning
    told = news_of(decision, Change.ESCALATED)
    assert (told.cycle, told.step) == (1, 1)


def test_mails_to_the_emergency_contacts_name_no_step() -> None:
    desk = Desk(rules(roles={"on_call": []}))
    decision = desk.give(report(site="kiosk"))
    assert decision.incident is not None
    assert steps_of(decision.effects) == [(0, 0, 0)]
    assert decision.incident.step == 2  # all steps were tried
    assert steps_of(desk.wait_until_due(decision.incident).effects) == [(0, 0, 1)]


def test_news_of_a_merger_name_the_event_that_joined_and_others_name_all() -> None:
    desk = Desk()
    first = desk.give(report(id="a"))
    assert news_of(first, Change.OPENED).event_ids == ("a",)
    joined = desk.give(report(id="b"))
    assert news_of(joined, Change.MERGED).event_ids == ("b",)
    assert joined.incident is not None
    taken = desk.click(joined.incident, Action.ACKNOWLEDGE)
    assert news_of(taken, Change.ACKNOWLEDGED).event_ids == ("a", "b")


# times


def test_a_reached_step_says_nothing_about_the_next_one() -> None:
    desk = Desk()
    incident = desk.press()
    desk.deliver(incident, Answer.ACCEPTED)
    desk.wait_until_due(incident)
    (decision,) = desk.deliver(incident, Answer.REFUSED)
    assert decision.reason is Reason.NOBODY_REACHED


@pytest.mark.parametrize(("late", "next_after"), [(0, 180), (30, 150), (31, 180)])
def test_steps_keep_their_distance_only_after_more_than_half_a_minute(late: int, next_after: int) -> None:
    desk = Desk()
    incident = desk.press()
    desk.now = MONDAY + minutes(2) + timedelta(seconds=late)
    desk.wait_until_due(incident)
    assert desk.incidents[incident.id].due_at == desk.now + timedelta(seconds=next_after)


def policy(**changes: Any) -> Rules:
    only = {"steps": [{"after": "0s", "tell": ["site_management"]}], "repeat": "15m"} | changes
    return rules(rules=[{"name": "all", "policy": "only"}], policies={"only": only})


NEXT_OPENING = datetime(2026, 1, 9, 8, tzinfo=BERLIN)  # Friday: Tuesday is a holiday


@pytest.mark.parametrize(
    ("changes", "acute", "until"),
    [
        ({}, True, MONDAY + minutes(30)),
        ({"acknowledged_for": "2h"}, True, MONDAY + minutes(120)),
        ({"acknowledged_for": "2h"}, False, MONDAY + minutes(120)),
        ({"repeat": "next_opening"}, True, NEXT_OPENING),
        ({}, False, NEXT_OPENING),
    ],
)
def test_how_long_taking_over_lasts(changes: dict[str, Any], acute: bool, until: datetime) -> None:
    desk = Desk(policy(**changes))
    taken = desk.click(desk.press(kind="form", acute=acute), Action.ACKNOWLEDGE).incident
    assert taken is not None
    assert taken.taken is not None
    assert taken.taken.until == until


@pytest.mark.parametrize(("lasts", "reminded"), [("6m", 4), ("15m", 10), ("16m", 11), ("2h", 115)])
def test_the_reminder_comes_five_minutes_or_a_third_before(lasts: str, reminded: float) -> None:
    desk = Desk(policy(acknowledged_for=lasts))
    taken = desk.click(desk.press(), Action.ACKNOWLEDGE).incident
    assert taken is not None
    assert taken.due_at == MONDAY + minutes(reminded)


def _site(**more: Any) -> dict[str, Any]:
    return {"bernburg": CONFIGURATION["sites"]["bernburg"] | more}


# what people do


def test_an_event_keeps_its_own_time_but_none_in_the_future() -> None:
    for shift, expected in ((-3, -3), (3, 0)):
        desk = Desk()
        incident = desk.press()
        event = follow_up(Acknowledged(by="A. Muster"), incident, MONDAY + minutes(shift))
        taken = desk.give(event, incident).incident
        assert taken is not None
        assert taken.taken is not None
        assert taken.taken.at == MONDAY + minutes(expected)


def test_each_change_raises_the_revision_by_one() -> None:
    desk = Desk()
    incident = desk.press()
    revisions = [incident.revision]

    def note() -> None:
        revisions.append(desk.incidents[incident.id].revision)

    for answer in (Answer.ACCEPTED, Answer.REFUSED):
        desk.deliver(incident, answer, desk.incidents[incident.id].awaited[0])
        note()
    desk.wait_until_due(incident)
    note()
    desk.click(incident, Action.ACKNOWLEDGE, Action.CALLED_POLICE)
    note()
    desk.press()
    note()
    desk.click(incident, Action.CLOSE, outcome=Outcome.RESOLVED)
    note()
    assert revisions == [1, 2, 3, 4, 5, 6, 7]


def test_the_level_of_a_person_says_so_and_the_same_level_is_none() -> None:
    desk = Desk()
    incident = desk.press(danger_level=2)
    assert desk.click(incident, Action.RAISE_LEVEL, danger_level=2).reason is Reason.LEVEL_NOT_RAISED
    desk.click(incident, Action.RAISE_LEVEL, danger_level=3)
    assert desk.incidents[incident.id].level_from is LevelFrom.PERSON


def test_what_was_said_at_closing_is_kept_and_nothing_is_awaited() -> None:
    desk = Desk()
    incident = desk.press()
    desk.deliver(incident, Answer.ACCEPTED)
    said = {"outcome": Outcome.RESOLVED, "note": "…", "measures": ("house ban",)}
    closed = desk.click(incident, Action.CLOSE, by="B", **said).incident
    assert closed is not None
    assert closed.closing == Closing("B", MONDAY, Outcome.RESOLVED, "…", ("house ban",))
    assert (closed.awaited, closed.reached) == ((), False)


def test_every_hand_over_is_kept() -> None:
    desk = Desk()
    incident = desk.press()
    for by in "AB":
        desk.click(incident, Action.HAND_OVER, by=by)
    assert [handed.by for handed in desk.incidents[incident.id].hand_overs] == ["A", "B"]


def test_mails_about_a_takeover_name_the_step_that_was_reached() -> None:
    desk = Desk()
    incident = desk.press()
    desk.wait_until_due(incident)
    desk.deliver(incident, Answer.ACCEPTED)
    decision = desk.click(incident, Action.ACKNOWLEDGE)
    assert set(steps_of(decision.effects)) == {(0, 2, 0)}
    assert decision.incident is not None
    assert not decision.incident.reached


@pytest.mark.parametrize(
    ("changes", "acute", "first"),
    [
        ({}, True, Reason.REMINDED),
        ({"repeat": "next_opening", "acknowledged_for": "2h"}, True, Reason.REMINDED),
        # the next opening is a reminder itself
        ({"repeat": "next_opening"}, True, Reason.ACKNOWLEDGEMENT_RAN_OUT),
        ({}, False, Reason.ACKNOWLEDGEMENT_RAN_OUT),
        ({"acknowledged_for": "2h"}, False, Reason.ACKNOWLEDGEMENT_RAN_OUT),
    ],
)
def test_who_is_reminded(changes: dict[str, Any], acute: bool, first: Reason) -> None:
    desk = Desk(policy(**changes))
    incident = desk.press(kind="form", acute=acute)
    desk.click(incident, Action.ACKNOWLEDGE)
    assert desk.wait_until_due(incident).reason is first


@pytest.mark.parametrize(
    ("before", "reason"),
    [(1, Reason.REMINDED), (0, Reason.ACKNOWLEDGEMENT_RAN_OUT), (-1, Reason.ACKNOWLEDGEMENT_RAN_OUT)],
)
def test_a_reminder_that_comes_too_late_is_an_alarm(before: int, reason: Reason) -> None:
    desk = Desk()
    incident = desk.press()
    desk.click(incident, Action.ACKNOWLEDGE)
    desk.now = MONDAY + minutes(30) - timedelta(seconds=before)
    decision = desk.wait_until_due(incident)
    assert decision.reason is reason
    assert decision.incident is not None
    assert decision.incident.taken is None or decision.incident.taken.reminded


def test_even_the_emergency_contacts_may_be_out_of_reach() -> None:
    desk = Desk(rules(roles={"on_call": []}))
    incident = desk.press(site="kiosk")
    (decision,) = desk.deliver(incident, Answer.REFUSED)
    assert decision.reason is Reason.NOBODY_REACHED
    assert not [effect for effect in decision.effects if isinstance(effect, Notify)]
    assert desk.incidents[incident.id].due_at is not None  # the repeat tries again


@pytest.mark.parametrize(
    ("at", "kind", "why"),
    [
        (None, "", Again.RAN_OUT),
        (0.5, "panic", Again.RAN_OUT),  # pressed again before anybody took over
        (1.5, "panic", Again.PRESSED),
        (1, "panic", Again.PRESSED),  # in the same moment
        (1.5, "form", Again.RAN_OUT),
    ],
)
def test_why_it_alarms_again_after_a_takeover(at: float | None, kind: str, why: Again) -> None:
    desk = Desk()
    incident = desk.press()
    if at is not None and at < 1:
        desk.now = MONDAY + minutes(at)
        desk.press(kind=kind)
    desk.now = MONDAY + minutes(1)
    desk.click(incident, Action.ACKNOWLEDGE)
    if at is not None and at >= 1:
        desk.now = MONDAY + minutes(at)
        desk.press(kind=kind, danger_level=1)
    while desk.incidents[incident.id].cycle == 0:
        desk.wait_until_due(incident)
    assert desk.incidents[incident.id].again is why


def test_a_file_about_the_past_changes_nothing_that_is_alive() -> None:
    desk = Desk()
    incident = desk.press()
    event = follow_up(Acknowledged(by="A"), incident, MONDAY)
    assert desk.give(event.model_copy(update={"imported": True}), incident).reason is Reason.HELD
    assert desk.give(event, incident).reason is Reason.ACKNOWLEDGED
