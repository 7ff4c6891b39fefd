"""The edges of rules, one by one: each of these tests is here because `make mutations` showed what others miss."""

from typing import Any

import pytest

from schemas.events import Category, Reported
from services.alerting.core.incident import LevelFrom
from services.alerting.core.policy import level_of
from tests.core.office import BERLIN, CONFIGURATION, rules


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


def _site(**more: Any) -> dict[str, Any]:
    return {"bernburg": CONFIGURATION["sites"]["bernburg"] | more}
