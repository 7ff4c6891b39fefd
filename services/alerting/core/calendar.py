"""When an office is open: OpenStreetMap hours, public holidays of its state, and special closing days.

`opening_hours` knows national holidays only (it holds a Saxony-Anhalt office open on 6 January), so holidays by
state come from `holidays`. Both are pure functions of their arguments, which is why the core may import them.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import holidays
from opening_hours import OpeningHours, State

from schemas.configuration import Configuration

_OPENS_WITHOUT_HOURS = time(8)
_HORIZON = timedelta(days=400)


@lru_cache(maxsize=256)
def _hours(expression: str) -> OpeningHours:
    return OpeningHours(expression)


@lru_cache(maxsize=64)
def _holidays(code: str) -> "holidays.HolidayBase":
    country, _, state = code.partition("-")
    return holidays.country_holidays(country, subdiv=state or None)


class OfficeCalendar:
    """Answers for every site of a configuration; see `policy.Calendar`."""

    def __init__(self, configuration: Configuration) -> None:
        self._configuration = configuration

    def is_open(self, site: str | None, now: datetime) -> bool:
        """Whether the office is open at `now`; without opening hours (or an unknown site) it counts as open."""
        expression = self._expression(site)
        if expression is None:
            return True
        local = now.astimezone(self._zone(site)).replace(tzinfo=None)
        for start, end, state, _ in _hours(expression).intervals(local - timedelta(days=1)):
            if end is None or end > local:
                return state == State.OPEN and not self._closed_on(site, _shift_day(start, end, local))
        return False

    def next_opening(self, site: str | None, now: datetime) -> datetime:
        """When the office opens on its next opening day after today, in UTC: one day, one reminder, lunch or not.

        An office without a next change (24/7, or no hours at all) is taken to open at 08:00 on its next day
        that is neither weekend nor holiday.
        """
        zone = self._zone(site)
        local = now.astimezone(zone).replace(tzinfo=None)
        for start in self._openings(site, local):
            if start.date() > local.date() and not self._closed_on(site, start.date()):
                return start.replace(tzinfo=zone).astimezone(UTC)
        day = local.date() + timedelta(days=1)
        while day.weekday() >= 5 or self._closed_on(site, day):
            day += timedelta(days=1)
        return datetime.combine(day, _OPENS_WITHOUT_HOURS, tzinfo=zone).astimezone(UTC)

    def _openings(self, site: str | None, local: datetime) -> Iterator[datetime]:
        expression = self._expression(site)
        if expression is None:
            return
        for start, _, state, _ in _hours(expression).intervals(local, local + _HORIZON):
            if state == State.OPEN:
                yield start

    def _expression(self, site: str | None) -> str | None:
        found = self._configuration.sites.get(site or "")
        return found.opening_hours if found else None

    def _zone(self, site: str | None) -> ZoneInfo:
        found = self._configuration.sites.get(site or "")
        return ZoneInfo((found.timezone if found else None) or self._configuration.organisation.timezone)

    def _closed_on(self, site: str | None, day: date) -> bool:
        found = self._configuration.sites.get(site or "")
        if found is not None and day in found.closed:
            return True
        code = (found.holidays if found else None) or self._configuration.organisation.holidays
        if code is None or (found is not None and found.open_on_holidays):
            return False
        return day in _holidays(code)


def _shift_day(start: datetime, end: datetime | None, local: datetime) -> date:
    """The day a shift belongs to: one over midnight to the day on which it began."""
    began_yesterday = end is not None and start.date() < local.date() and end - start < timedelta(days=1)
    return start.date() if began_yesterday else local.date()
