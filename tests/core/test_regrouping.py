"""A person joins two incidents or splits one: what each side becomes, and who hears of it."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from schemas.events import Acknowledged, Closed, Outcome
from services.alerting.core.effects import Action, Decision, Purpose, Reason, Relay
from services.alerting.core.incident import Again, Incident, LevelFrom, Status
from tests.core.office import MONDAY, Desk, follow_up, minutes

FORM: dict[str, Any] = {"kind": "form", "source": "forms"}
KEEPER = {"location": "Flur"}


def two(desk: Desk, first: dict[str, Any] | None = None, second: dict[str, Any] | None = None) -> list[Incident]:
    """A press in room 112 and one in the corridor, which is the one to go on."""
    return [desk.press(**(first or {})), desk.press(**KEEPER | (second or {}))]


def relayed(decision: Decision) -> list[tuple[str, tuple[str, ...], str]]:
    return [(e.change.value, e.data.event_ids, e.data.source) for e in decision.effects if isinstance(e, Relay)]


def mailed(desk: Desk, incident: Incident, purpose: Purpose) -> list[str]:
    return [n.recipient.email for _, id_, n in desk.mails if id_ == incident.id and n.purpose is purpose]


@pytest.mark.parametrize(
    ("joins", "goes_on", "reason", "why"),
    [
        # as grave as here, or less: no news
        ({"danger_level": 2}, {"danger_level": 2}, Reason.JOINED, None),
        ({"danger_level": 0}, {"danger_level": 3}, Reason.JOINED, None),
        # graver: level, police, an unknown level that counts as 2, danger that lasts, a press among forms
        ({"danger_level": 3}, {"danger_level": 2}, Reason.JOINED_REALARMED, Again.JOINED),
        ({"police": "wanted"}, {}, Reason.JOINED_REALARMED, Again.JOINED),
        ({}, {"danger_level": 1}, Reason.JOINED_REALARMED, Again.JOINED),
        ({"danger_level": 1}, {**FORM, "danger_level": 1, "acute": False}, Reason.JOINED_REALARMED, Again.JOINED),
        ({"danger_level": 1}, {**FORM, "danger_level": 1}, Reason.JOINED_REALARMED, Again.JOINED),
        # exercises among themselves
        ({"mode": "exercise"}, {"mode": "exercise"}, Reason.JOINED, None),
        # what has no known site gains one
        ({"site": None, "site_text": "?"}, {}, Reason.JOINED, None),
        # never
        ({"mode": "exercise"}, {}, Reason.MODES_DIFFER, None),
        ({}, {"mode": "exercise"}, Reason.MODES_DIFFER, None),
        ({"site": "kiosk"}, {}, Reason.SITES_DIFFER, None),
        ({}, {"site": None, "site_text": "?"}, Reason.SITES_DIFFER, None),
    ],
)
@pytest.mark.parametrize("taken", [False, True])
def test_when_it_alarms_anew(
    joins: dict[str, Any], goes_on: dict[str, Any], reason: Reason, why: Again | None, taken: bool
) -> None:
    desk = Desk()
    one, other = two(desk, joins, goes_on)
    if taken:
        desk.click(other, Action.ACKNOWLEDGE)
    decision = desk.join(one, other)
    assert decision.incident is not None
    assert (decision.reason, decision.incident.again) == (reason, why)
    still_taken = taken and why is None
    assert decision.incident.status is (Status.ACKNOWLEDGED if still_taken else Status.OPEN)


def test_the_one_that_goes_on_has_the_facts_of_both() -> None:
    desk = Desk()
    one, other = two(desk, {"danger_level": 3, "category": "weapon"}, {"category": "threat"})
    desk.now += minutes(1)
    desk.click(one, Action.CALLED_POLICE, Action.HAND_OVER, by="B. Beispiel")
    desk.now += minutes(1)
    desk.click(other, Action.CALLED_POLICE, by="C. Beispiel")
    desk.join(one, other)
    after = desk.incidents[other.id]
    assert (after.danger_level, after.level_from, after.category, after.police) == (
        3, LevelFrom.PANIC, "weapon", "urgent",
    )  # fmt: skip
    assert after.event_ids == (other.id, one.id)
    assert after.absorbed == (one.id,)
    assert [call.by for call in after.calls] == ["B. Beispiel", "C. Beispiel"]
    assert [hand_over.by for hand_over in after.hand_overs] == ["B. Beispiel"]
    assert after.opened_at == one.opened_at


def test_everybody_who_was_told_hears_of_it_once_and_of_the_end() -> None:
    desk = Desk()
    one, other = two(desk)
    desk.wait_until_due(other)
    desk.join(one, other)
    assert mailed(desk, one, Purpose.JOINED) == ["wache@example.org", "leitung@example.org"]
    assert mailed(desk, other, Purpose.JOINED) == ["vertretung@example.org"], "the others know by the first mail"
    desk.click(one, Action.CLOSE, outcome=Outcome.RESOLVED)
    assert desk.incidents[other.id].status is not Status.CLOSED, "a click on what was joined ends nothing here"
    desk.click(other, Action.CLOSE, outcome=Outcome.RESOLVED)
    assert len(mailed(desk, other, Purpose.CLOSED)) == 3


def test_the_one_that_ended_stays_silent_and_says_where_it_went() -> None:
    desk = Desk()
    one, other = two(desk)
    desk.click(other, Action.ACKNOWLEDGE, Action.CALLED_POLICE, by="C. Beispiel")
    desk.join(one, other)
    ended = desk.incidents[one.id]
    assert (ended.status, ended.due_at, ended.closing, ended.ended_at) == (Status.CLOSED, None, None, MONDAY)
    assert ended.joined is not None
    assert (ended.joined.by, ended.joined.reason) == ("A. Muster", "dieselbe Sache")
    assert (ended.joined.into.id, ended.joined.into.taken_by, ended.joined.into.called_at) == (
        other.id, "C. Beispiel", MONDAY,
    )  # fmt: skip
    for action in Action:
        assert desk.click(ended, action, outcome=Outcome.RESOLVED, danger_level=3).reason is Reason.ALREADY_JOINED


def test_each_sender_hears_where_its_report_went() -> None:
    desk = Desk()
    one = desk.press(id="p")
    desk.press(**FORM, id="f", police="called")
    other = desk.press(**KEEPER)
    decision = desk.join(one, other)
    assert relayed(decision) == [
        ("merged", ("p",), "buttons"),
        ("merged", ("f",), "forms"),
        ("police_requested", (other.id, "p", "f"), "buttons"),
    ]
    desk.changes.clear()
    again = Desk()
    one, other = two(again)
    again.join(one, other)
    assert again.changes[-1] == "merged"


def test_a_press_at_either_place_belongs_to_it_but_not_one_where_a_form_pointed() -> None:
    desk = Desk()
    one = desk.press(reference="K-1")
    desk.press(**FORM, location="Keller", reference="K-1")
    other = desk.press(**KEEPER)
    desk.join(one, other)
    assert desk.press().id == other.id
    assert desk.press(**KEEPER).id == other.id
    assert desk.press(location="Keller").id not in {one.id, other.id}, "it may be another victim"
    assert desk.press(**FORM, location=None, reference="K-1").id == other.id


def test_an_announced_test_that_joins_something_real_never_makes_it_a_test() -> None:
    desk = Desk()
    real = desk.press()
    desk.announce("btn1")
    tried = desk.press(**KEEPER, device_id="btn1")
    assert desk.join(tried, real).reason is Reason.JOINED
    assert not desk.incidents[real.id].under_test
    assert desk.click(real, Action.CLOSE, outcome=Outcome.TEST).reason is Reason.OUTCOME_REFUSED


def test_something_real_that_joins_an_announced_test_makes_it_real() -> None:
    desk = Desk()
    real = desk.press()
    desk.announce("btn1")
    tried = desk.press(**KEEPER, device_id="btn1")
    decision = desk.join(real, tried)
    assert decision.incident is not None
    assert (decision.reason, decision.incident.again) == (Reason.JOINED_REALARMED, Again.REAL)


def test_an_alarm_breaks_through_a_silence_that_held_the_other_back() -> None:
    desk = Desk()
    one = desk.press(**FORM, danger_level=1)
    desk.silence()
    held = desk.press(**KEEPER, **FORM, danger_level=1)
    assert held.held
    assert desk.join(one, held).reason is Reason.JOINED_REALARMED
    assert not desk.incidents[held.id].held


def test_a_follow_up_about_the_joined_one_counts_for_the_other() -> None:
    desk = Desk()
    one, other = two(desk)
    desk.join(one, other)
    decision = desk.give(follow_up(Acknowledged(by="A"), one, desk.now), other)
    assert decision.reason is Reason.ACKNOWLEDGED


def test_who_ends_the_joined_one_by_its_old_id_ends_nothing_else() -> None:
    desk = Desk()
    one, other = two(desk)
    desk.join(one, other)
    ended = Closed(by="A", outcome=Outcome.RESOLVED)
    assert desk.give(follow_up(ended, one, desk.now), other).reason is Reason.ALREADY_JOINED
    assert desk.give(follow_up(ended, other, desk.now), other).reason is Reason.CLOSED


def test_reports_that_earlier_versions_stored_can_be_split_off_too() -> None:
    """They know neither their place nor their keys: they are where their incident is."""
    desk = Desk()
    first = desk.press()
    desk.press(**FORM, id="f", danger_level=1)
    stored = desk.incidents[first.id]
    old = tuple(replace(report, place=None, keys=()) for report in stored.reports)
    desk.incidents[first.id] = replace(stored, reports=old)
    new = desk.split(first, "f").incident
    assert new is not None
    assert (new.place, new.place_key) == (first.place, first.place_key)
    assert desk.incidents[first.id].keys == first.keys


def test_three_mails_about_three_joinings_are_three_mails() -> None:
    desk = Desk()
    goes_on = desk.press(**KEEPER)
    desk.wait_until_due(goes_on)
    for number in range(3):
        desk.join(desk.press(location=f"Raum {number}"), goes_on)
    names = [
        (n.cycle, n.step, n.repetition) for _, id_, n in desk.mails if n.purpose is Purpose.JOINED and id_ == goes_on.id
    ]
    assert len(set(names)) == 3


def test_a_split_report_is_judged_by_itself_and_alarmed() -> None:
    desk = Desk()
    first = desk.press(danger_level=3, category="weapon")
    desk.now += minutes(2)
    desk.press(**FORM, id="f", danger_level=1, category="insult", description="…", reference="K-1", device_id="btn1")
    desk.now += minutes(1)
    decision = desk.split(first, "f")
    new, stays = decision.incident, desk.incidents[first.id]
    assert new is not None
    assert (new.id, new.split_from, new.danger_level, new.category, new.policy_name) == (
        "f",
        first.id,
        1,
        "insult",
        "normal",
    )
    assert (new.opened_at, new.reports[0].received_at) == (MONDAY + minutes(2), MONDAY + minutes(2))
    assert (stays.split, stays.event_ids, stays.danger_level) == (("f",), (first.id,), 3)
    assert stays.due_at == first.due_at
    assert mailed(desk, new, Purpose.ALARM) == ["leitung@example.org"]
    later = {**FORM, "location": None}
    assert desk.press(**later, reference="K-1").id == "f"
    assert desk.press(**later, device_id="btn1").id == "f"


def test_calls_that_a_report_told_go_with_it_and_those_of_people_stay() -> None:
    desk = Desk()
    first = desk.press()
    desk.press(**FORM, id="f", police="called", reported_by="F. Formular")
    desk.click(first, Action.CALLED_POLICE, Action.HAND_OVER, by="B. Beispiel")
    new = desk.split(first, "f").incident
    assert new is not None
    stays = desk.incidents[first.id]
    assert [call.by for call in new.calls] == ["F. Formular"]
    assert ([call.by for call in stays.calls], len(stays.hand_overs)) == (["B. Beispiel"], 1)


def test_a_press_of_an_announced_test_stays_one_when_it_is_split_off() -> None:
    desk = Desk()
    real = desk.press()
    desk.announce("btn1")
    desk.press(id="t", device_id="btn1")
    desk.now += timedelta(hours=2)
    new = desk.split(real, "t").incident
    assert new is not None
    assert new.under_test
    assert desk.click(new, Action.CLOSE, outcome=Outcome.TEST).reason is Reason.CLOSED


def test_a_joining_that_is_undone_gives_back_what_it_brought() -> None:
    desk = Desk()
    one, other = two(desk, {"id": "a"})
    desk.press(id="a2")
    desk.click(one, Action.CALLED_POLICE, Action.HAND_OVER, by="B. Beispiel")
    desk.click(one, Action.RAISE_LEVEL, danger_level=3)
    before = desk.incidents["a"]
    desk.join(one, other)
    desk.now += minutes(1)
    decision = desk.split(other, "a", "a2")
    again, stays = decision.incident, desk.incidents[other.id]
    assert again is not None
    assert (again.id, again.status, again.joined, again.cycle) == ("a", Status.OPEN, None, before.cycle + 1)
    assert (again.event_ids, again.level, again.level_from) == (before.event_ids, 3, LevelFrom.PERSON)
    assert (again.calls, again.hand_overs, again.told) == (before.calls, before.hand_overs, before.told)
    assert again.revision == before.revision + 2
    assert (stays.calls, stays.hand_overs, stays.absorbed, stays.places) == ((), (), (), ())
    assert desk.press().id == "a"


@pytest.mark.parametrize(
    ("ids", "reason"),
    [
        ((), Reason.UNKNOWN_REPORT),
        (("x",), Reason.UNKNOWN_REPORT),
        (("b", "x"), Reason.UNKNOWN_REPORT),
        (("first",), Reason.FIRST_REPORT),
        (("b", "first"), Reason.FIRST_REPORT),
        (("b", "c"), Reason.SEVERAL_INCIDENTS),
    ],
)
def test_what_cannot_be_split_off(ids: tuple[str, ...], reason: Reason) -> None:
    desk = Desk()
    first = desk.press(id="first")
    for id_ in ("b", "c"):
        desk.join(desk.press(id=id_, location=id_), first)
    before = dict(desk.incidents)
    assert desk.split(first, *ids).reason is reason
    assert desk.incidents == before


def test_what_is_over_is_neither_joined_nor_split() -> None:
    desk = Desk()
    one, other = two(desk)
    desk.press(id="second")
    desk.click(one, Action.CLOSE, outcome=Outcome.FALSE_ALARM)
    assert desk.join(one, other).reason is Reason.ALREADY_CLOSED
    assert desk.join(other, one).reason is Reason.ALREADY_CLOSED
    assert desk.split(one, "second").reason is Reason.ALREADY_CLOSED
    assert desk.join(other, other).reason is Reason.SAME_INCIDENT
