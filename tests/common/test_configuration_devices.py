"""What `check-config` says about devices that must report, and about who hears of them."""

from pathlib import Path

import pytest

from services.common.configuration.file import ConfigurationError, examine
from tests.common.test_configuration_file import GOOD

EXPECTING = GOOD.replace("    devices:\n", "    expect_every: 25h\n    devices:\n")


def examined(tmp_path: Path, text: str) -> tuple[list[str], list[str]]:
    """Mistakes and hints."""
    file = tmp_path / "organisation.yaml"
    file.write_text(text)
    try:
        _, hints = examine(file)
    except ConfigurationError as error:
        return [str(mistake) for mistake in error.mistakes], []
    return [], [str(hint) for hint in hints]


def test_expecting_reports_is_good(tmp_path: Path) -> None:
    never = EXPECTING.replace("{site: bernburg}", "{site: bernburg, expect_every: never}")
    for text in (EXPECTING, never, EXPECTING.replace("25h", "1d\n    battery_low: 0.15")):
        assert examined(tmp_path, text) == ([], [])


@pytest.mark.parametrize(
    ("old", "new", "line", "path", "says"),
    [
        ("25h", "often", 22, "sources.buttons.expect_every", "1h30m"),
        ("25h", "0s", 22, "sources.buttons.expect_every", "longer than 0s"),
        ("25h", "1d\n    battery_low: 20", 23, "sources.buttons.battery_low", "for example 0.2"),
        ("{site: bernburg}", "{site: bernburg, expect_every: nie}", 25, "btn-113.expect_every", "or never"),
        ("{site: bernburg}", "{site: bernburg, expect_every: 0s}", 25, "btn-113.expect_every", "longer than 0s"),
        ("  holidays", "  maintenance: {role: technics}\n  holidays", 3, "maintenance.role", "site_management"),
        ("site_management", "management", 1, "maintenance.role", "management"),
    ],
)
def test_each_mistake_is_named(old: str, new: str, line: int, path: str, says: str, tmp_path: Path) -> None:
    mistakes, _ = examined(tmp_path, EXPECTING.replace(old, new))
    (mistake,) = mistakes
    assert f":{line}: " in mistake
    assert path in mistake
    assert says in mistake


def test_what_may_not_be_meant(tmp_path: Path) -> None:
    alone = EXPECTING.replace("btn-113: {site: bernburg}", "btn-113: {site: kiosk}")
    mistakes, (hint,) = examined(tmp_path, alone.replace("sites:\n", "sites:\n  kiosk: {name: Kiosk}\n"))
    assert mistakes == []
    assert "emergency contacts hear of its devices" in hint
    empty = EXPECTING.split("    devices:")[0] + "rules:" + EXPECTING.split("rules:")[1]
    mistakes, (hint,) = examined(tmp_path, empty)
    assert mistakes == []
    assert "sources.buttons.expect_every" in hint


OLD_ROOMS = """\
    locations:
      - {id: r112, name: Zimmer 112, aliases: ["112"]}
      - {id: r113, name: Zimmer 113}
"""
ROOMS = """\
    locations:
      - {id: r112, name: Zimmer 112, short: Zi. 112, aliases: ["Raum 112a"]}
      - {id: empfang, name: Empfang}
"""


def placed(location: str, rooms: str = ROOMS) -> str:
    """The configuration with other rooms at the site, and one button in one of them."""
    text = GOOD.replace(", location: Zimmer 112", "").replace(
        "btn-113: {site: bernburg}", f'btn-113: {{site: bernburg, location: "{location}"}}'
    )
    return text.replace(OLD_ROOMS, rooms)


@pytest.mark.parametrize("location", ["r112", "ZIMMER  112", "zi-112", "112", "Raum 112 a", "empfang"])
def test_a_location_of_the_site_however_spelt(location: str, tmp_path: Path) -> None:
    assert examined(tmp_path, placed(location)) == ([], [])


@pytest.mark.parametrize(
    ("location", "says"),
    [
        ("Zimer 112", "(did you mean `Zimmer 112`?)"),
        ("Empfnag", "(did you mean `Empfang`?)"),
        ("Raum 112aa", "(did you mean `Zimmer 112`?)"),
        ("Zimmer 113", "expected one of Zimmer 112, Empfang, or this one among them"),
        ("Flur", "expected one of Zimmer 112, Empfang, or this one among them"),
    ],
)
def test_a_location_that_the_site_does_not_list(location: str, says: str, tmp_path: Path) -> None:
    mistakes, (hint,) = examined(tmp_path, placed(location))
    assert mistakes == []
    assert f"sources.buttons.devices.btn-113.location: `{location}` is none of the locations of `bernburg`" in hint
    assert says in hint


def test_of_many_locations_some_are_named(tmp_path: Path) -> None:
    rooms = "    locations:\n" + "\n".join(f"      - {{id: r{n}, name: Flur {n}}}" for n in range(101, 130)) + "\n"
    _, (hint,) = examined(tmp_path, placed("Keller", rooms))
    assert "Flur 110 …, or" in hint
    assert "Flur 111" not in hint


def test_where_a_site_lists_no_locations_any_is_good(tmp_path: Path) -> None:
    assert examined(tmp_path, placed("irgendwo", "")) == ([], [])
