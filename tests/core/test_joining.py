"""What a report adds to the incident that it joins; here because `make mutations` showed what other tests miss."""

from typing import Any

import pytest

from schemas.events import Outcome
from services.alerting.core.effects import Action, Reason
from services.alerting.core.incident import LevelFrom
from tests.core.office import MONDAY, Desk, minutes, report

FORM: dict[str, Any] = {"kind": "form", "source": "forms"}


@pytest.mark.parametrize(
    ("first", "second", "level", "level_from", "category"),
    [
        # the graver report says how grave, and what it is
        ({"danger_level": 2, "category": "threat"}, {"danger_level": 3, "category": "weapon"}, 3, "form", "weapon"),
        ({"danger_level": 2, "category": "threat"}, {"danger_level": 3}, 3, "form", "threat"),
        # a lighter one only what nobody has said yet
        ({"danger_level": 2, "category": "threat"}, {"danger_level": 0, "category": "insult"}, 2, "panic", "threat"),
        ({"danger_level": 2}, {"danger_level": 0, "category": "insult"}, 2, "panic", "insult"),
        # as grave as before is no news, unless it was unknown before
        ({"danger_level": 2}, {"danger_level": 2}, 2, "panic", None),
        ({}, {"danger_level": 2}, 2, "form", None),
        ({}, {"danger_level": 1}, None, "unknown", None),
    ],
)
def test_what_level_and_category_become(
    first: dict[str, Any], second: dict[str, Any], level: int | None, level_from: str, category: str | None
) -> None:
    desk = Desk()
    desk.press(**first)
    joined = desk.press(**FORM, **second)
    assert (joined.danger_level, joined.level_from, joined.category) == (level, LevelFrom(level_from), category)
    assert joined.revision == 2


def test_every_call_that_a_report_tells_is_kept() -> None:
    desk = Desk()
    desk.press(police="called", reported_by="A")
    assert [call.by for call in desk.press(**FORM, police="called", reported_by="B").calls] == ["A", "B"]


def test_it_can_be_found_by_what_each_report_named() -> None:
    desk = Desk()
    press = desk.press(device_id="btn-1")
    desk.press(**FORM, reference="K-9")
    assert desk.press(**FORM, location=None, device_id="btn-1").id == press.id
    desk.now += minutes(90)
    assert desk.press(**FORM, location=None, reference="K-9").id == press.id


@pytest.mark.parametrize(("last", "joins"), [(18, True), (18.1, False)])
def test_the_window_counts_from_the_last_report(last: float, joins: bool) -> None:
    desk = Desk()
    press = desk.press()
    desk.now = MONDAY + minutes(8)
    desk.press()
    desk.now = MONDAY + minutes(last)
    assert (desk.press().id == press.id) is joins


def test_the_window_after_closing_counts_from_closing() -> None:
    desk = Desk()
    press = desk.press()
    desk.now = MONDAY + minutes(9)
    desk.click(press, Action.CLOSE, outcome=Outcome.RESOLVED)
    desk.now = MONDAY + minutes(18)
    assert desk.give(report(desk.now)).reason is Reason.REOPENED


def test_a_helper_gets_two_minutes_to_arrive() -> None:
    desk = Desk()
    press = desk.press()
    desk.click(press, Action.ACKNOWLEDGE)
    desk.now = MONDAY + minutes(1)
    pressed = desk.press()
    assert pressed.taken is not None
    assert (pressed.due_at, pressed.taken.until, pressed.taken.reminded) == (*[MONDAY + minutes(2)] * 2, True)


def test_after_two_minutes_it_alarms_at_once() -> None:
    desk = Desk()
    press = desk.press()
    desk.click(press, Action.ACKNOWLEDGE)
    desk.now = MONDAY + minutes(2)
    assert desk.give(report(desk.now)).reason is Reason.MERGED_REALARMED
