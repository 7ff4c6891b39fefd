from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from schemas.configuration import Configuration
from services.alerting.core.calendar import OfficeCalendar

BERLIN = ZoneInfo("Europe/Berlin")


def calendar(hours: str | None = "Mo-Fr 08:00-12:00", holidays: str | None = "DE-ST", **site: Any) -> OfficeCalendar:
    return OfficeCalendar(
        Configuration.model_validate(
            {
                "organisation": {"name": "x", "emergency": ["e@example.org"], "holidays": holidays},
                "sites": {"s": {"name": "S", "opening_hours": hours, **site}},
                "rules": [{"name": "all", "policy": "p"}],
                "policies": {"p": {"steps": [{"after": "0s", "tell": ["r"]}], "repeat": "5m"}},
            }
        )
    )


def local(text: str, zone: ZoneInfo = BERLIN) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=zone)


@pytest.mark.parametrize(
    ("at", "hours", "site", "expected"),
    [
        ("2026-01-05 09:12", "Mo-Fr 08:00-12:00", {}, True),
        ("2026-01-05 12:00", "Mo-Fr 08:00-12:00", {}, False),  # the end is not open any more
        ("2026-01-06 09:12", "Mo-Fr 08:00-12:00", {}, False),  # Epiphany: a holiday in Saxony-Anhalt only
        ("2026-01-06 09:12", "Mo-Fr 08:00-12:00", {"holidays": "DE-BE"}, True),  # not in Berlin
        ("2026-01-06 09:12", "Mo-Fr 08:00-12:00", {"open_on_holidays": True}, True),
        ("2026-01-07 09:12", "Mo-Fr 08:00-12:00", {"closed": ["2026-01-07"]}, False),
        ("2026-01-10 09:12", "Mo-Fr 08:00-12:00", {}, False),  # Saturday
        ("2026-01-08 01:00", "We 22:00-26:00", {}, True),  # over midnight
        ("2026-01-08 01:00", "We 22:00-26:00", {"closed": ["2026-01-07"]}, False),  # the shift belongs to Wednesday
        ("2026-01-08 01:00", "We 22:00-26:00", {"closed": ["2026-01-08"]}, True),
        ("2026-01-07 03:00", "24/7", {"closed": ["2026-01-07"]}, False),
        ("2026-03-29 03:30", "Su 02:00-04:00", {}, True),  # clocks go forward at 02:00
        ("2026-10-25 02:30", "Su 02:00-04:00", {}, True),  # clocks go back at 03:00
        ("2026-01-05 08:30", "Mo 08:00-12:00", {"timezone": "Europe/London"}, False),  # 07:30 there
        ("2026-01-05 03:00", None, {}, True),  # without hours an office counts as open
    ],
)
def test_open_or_closed(at: str, hours: str | None, site: dict[str, Any], expected: bool) -> None:
    assert calendar(hours, **site).is_open("s", local(at)) is expected


def test_an_unknown_site_counts_as_open() -> None:
    assert calendar().is_open(None, local("2026-01-10 03:00"))


@pytest.mark.parametrize(
    ("at", "hours", "site", "expected"),
    [
        ("2026-01-05 09:12", "Mo-Fr 08:00-12:00", {}, "2026-01-07 08:00"),  # Tuesday is a holiday
        ("2026-01-07 07:00", "Mo-Fr 08:00-12:00", {}, "2026-01-08 08:00"),  # today was told already
        ("2026-01-09 13:00", "Mo-Fr 08:00-12:00", {}, "2026-01-12 08:00"),  # over the weekend
        ("2026-01-05 09:12", "Mo 08:00-10:00,13:00-15:00", {}, "2026-01-12 08:00"),  # not again after lunch
        ("2026-03-28 13:00", "Su 08:00-12:00", {}, "2026-03-29 08:00"),  # the night that is an hour short
        ("2026-01-09 13:00", None, {}, "2026-01-12 08:00"),  # no hours: the next day that is no weekend or holiday
        ("2026-01-09 13:00", "24/7", {}, "2026-01-12 08:00"),
        ("2026-12-23 13:00", "Mo-Fr 08:00-12:00", {"closed": ["2026-12-24"]}, "2026-12-28 08:00"),
    ],
)
def test_next_opening(at: str, hours: str | None, site: dict[str, Any], expected: str) -> None:
    found = calendar(hours, **site).next_opening("s", local(at))
    assert found == local(expected)
    assert found.tzinfo is UTC
