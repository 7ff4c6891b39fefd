from typing import Any

import pytest

from schemas.events import Category, Kind, Reported
from schemas.places import normalise_place
from services.alerting.core.incident import LevelFrom
from services.alerting.core.policy import level_of
from services.alerting.core.reporting import place_key
from tests.core.office import MONDAY, Desk, minutes, rules


@pytest.mark.parametrize(
    ("data", "source", "expected"),
    [
        # what the report says counts
        ({"kind": "panic", "danger_level": 0}, "buttons", (0, LevelFrom.PANIC)),
        ({"kind": "form", "danger_level": 3, "category": "insult"}, "forms", (3, LevelFrom.FORM)),
        # else its category, by the Aachener Modell
        ({"kind": "form", "category": "weapon"}, "forms", (3, LevelFrom.CATEGORY)),
        ({"kind": "form", "category": "insult"}, "forms", (0, LevelFrom.CATEGORY)),
        # but a press is never taken lightly for its category
        ({"kind": "panic", "category": "insult"}, "buttons", (None, LevelFrom.UNKNOWN)),
        ({"kind": "panic", "category": "bomb_threat"}, "buttons", (3, LevelFrom.CATEGORY)),
        # else what the source is configured with
        ({"kind": "form"}, "forms", (1, LevelFrom.SOURCE)),
        ({"kind": "form", "category": "other"}, "forms", (1, LevelFrom.SOURCE)),
        # else it is unknown
        ({"kind": "panic"}, "buttons", (None, LevelFrom.UNKNOWN)),
        ({"kind": "form"}, "a source that is gone", (None, LevelFrom.UNKNOWN)),
    ],
)
def test_where_the_level_comes_from(data: dict[str, Any], source: str, expected: tuple[int | None, LevelFrom]) -> None:
    assert level_of(Reported.model_validate(data), rules(), source) == expected


@pytest.mark.parametrize(
    ("data", "rule", "policy", "police"),
    [
        ({}, "violence", "urgent", "advised"),  # a press without a level counts as 2
        ({"danger_level": 3}, "weapon", "urgent", "urgent"),
        ({"danger_level": 1}, "everything else", "normal", "none"),
        ({"danger_level": 1, "police": "wanted"}, "everything else", "normal", "urgent"),  # a report may ask for more
        ({"kind": Kind.FORM, "acute": False, "danger_level": 3}, "after the event", "notice", "none"),  # first match
        ({"category": Category.WEAPON}, "weapon", "urgent", "urgent"),
    ],
)
def test_the_first_matching_rule_counts(data: dict[str, Any], rule: str, policy: str, police: str) -> None:
    incident = Desk().press(**data)
    assert (incident.rule, incident.policy_name, incident.police) == (rule, policy, police)


def test_rules_may_ask_whether_the_office_is_open() -> None:
    desk = Desk(now=MONDAY + minutes(60 * 10))
    assert desk.press(danger_level=1).rule == "at night"


@pytest.mark.parametrize("text", ["112", "Zi. 112", "zi.112", "Raum 112", "ZIMMER  112", "r112", "Zimmer 112"])
def test_spellings_of_one_room(text: str) -> None:
    assert place_key(Reported(site="bernburg", location=text), rules()) == "bernburg/r112"


@pytest.mark.parametrize(("one", "other"), [("1.12", "11.2"), ("R1-11", "R11-1"), ("1 12", "112"), ("2-1", "2.1.")])
def test_numbers_of_two_rooms_never_run_together(one: str, other: str) -> None:
    assert normalise_place(f"Zimmer {one}") != normalise_place(f"Raum {other}")


def test_rooms_that_are_not_configured_keep_their_names_apart() -> None:
    assert normalise_place("Raum 7") == normalise_place("Zi. 7") != normalise_place("Raum 8")
    assert normalise_place("Zimmer") == "zimmer"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"site": "bernburg", "device_id": "btn"}, "bernburg/device/btn"),  # no place: only the same device
        ({"site": "bernburg"}, None),  # neither: two presses may be two victims
        ({"site_text": "Mars", "location": "1"}, "?Mars/1"),
        ({"site": "unknown", "location": "1"}, "?unknown/1"),
    ],
)
def test_without_a_place_only_the_same_device_is_the_same_case(data: dict[str, Any], expected: str | None) -> None:
    assert place_key(Reported.model_validate(data), rules()) == expected
