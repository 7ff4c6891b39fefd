"""The yearly figures, from facts with their times. Definitions: `services/alerting/reporting/words.py` prints them."""

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from statistics import median
from typing import Final, NamedTuple, TypeVar
from zoneinfo import ZoneInfo

from schemas.events import Mode

LEARNING: Final = "learning"
"""The mode of a case that a source in learning mode reported, whatever mode its messages had."""
EXCLUDED: Final = ("exercise", "false_alarm", "not_relevant", "test", LEARNING)
"""Why an incident is not counted, in the order in which the report shows it."""
FEWEST: Final = 5
"""Times to acknowledgement are shown over so many incidents at least: fewer would point at persons."""
UNASSIGNED: Final = "unassigned"
UNKNOWN: Final = "unknown"
_ACTUAL: Final = Mode.ACTUAL.value
_ALWAYS: Final = datetime.max.replace(tzinfo=UTC)
_Fact = TypeVar("_Fact")
_Cell = tuple[str | None, int, int | None, str | None]
"""Site, month from 1, level, category: counted once per incident, and taken apart at the end."""


class Case(NamedTuple):
    """What the report needs to know of one incident. Instants are aware; `hand_overs` are (recorded at, local date).

    A tuple, because there are 100,000 of them.
    """

    id: str
    site: str | None
    source: str
    imported: bool
    mode: str
    danger_level: int | None
    category: str | None
    reports: Sequence[datetime]
    calls: Sequence[datetime] = ()
    hand_overs: Sequence[tuple[datetime, date]] = ()
    closed_at: datetime | None = None
    outcome: str | None = None
    acknowledged_at: datetime | None = None
    joined_into: str | None = None
    joined_at: datetime | None = None
    """A person made it part of another incident, which has all its facts since then."""


@dataclass(slots=True)
class Waits:
    """Seconds from the first report to the first acknowledgement; None where too few were acknowledged."""

    incidents: int
    median: float | None
    p90: float | None


@dataclass(slots=True)
class Figures:
    """One year. Keys of `by_month` are `2018-01`; each `by_…` adds up to `len(incidents)`."""

    year: int
    as_of: date | None
    incidents: list[str] = field(default_factory=list)
    still_open: list[str] = field(default_factory=list)
    police_requested: list[str] = field(default_factory=list)
    police_calls: int = 0
    handed_over: list[str] = field(default_factory=list)
    handed_over_in_year: int = 0
    handed_over_in_year_ids: list[str] = field(default_factory=list)
    joined: list[str] = field(default_factory=list)
    """Reported in the year, and counted with the incident that they are part of."""
    excluded: dict[str, list[str]] = field(default_factory=lambda: {reason: [] for reason in EXCLUDED})
    by_site: Counter[str] = field(default_factory=Counter)
    requested_by_site: Counter[str] = field(default_factory=Counter)
    handed_over_by_site: Counter[str] = field(default_factory=Counter)
    by_month: Counter[str] = field(default_factory=Counter)
    by_level: Counter[str] = field(default_factory=Counter)
    by_category: Counter[str] = field(default_factory=Counter)
    imported: Counter[str] = field(default_factory=Counter)
    """How many of the counted incidents came from files, by source."""
    waits: Waits = field(default_factory=lambda: Waits(0, None, None))


def end_of(day: date, zone: ZoneInfo) -> datetime:
    """The instant at which a local day is over."""
    return datetime.combine(day + timedelta(days=1), time(), zone).astimezone(UTC)


@dataclass(frozen=True, slots=True)
class _Year:
    """A year as one zone knows it: `months` are the beginnings of its months and of the next year."""

    months: list[datetime]
    known_before: datetime

    @classmethod
    def of(cls, year: int, as_of: date | None, zone: ZoneInfo) -> "_Year":
        starts = [datetime(year + month // 12, month % 12 + 1, 1, tzinfo=zone).astimezone(UTC) for month in range(13)]
        return cls(starts, _ALWAYS if as_of is None else end_of(as_of, zone))

    def knows(self, instant: datetime) -> bool:
        return instant < self.known_before


def figures(
    cases: Iterable[Case],
    year: int,
    *,
    zone_of: Callable[[str | None], ZoneInfo],
    sites: Iterable[str],
    as_of: date | None = None,
) -> Figures:
    """Count a year.

    Args:
        cases: incidents reported in the year; others, and others' hand-overs in the year, are told apart here.
        year: local dates decide, in the zone of the incident's site.
        zone_of: local time of a site's key.
        sites: keys of the configured sites, which are shown even with nothing.
        as_of: facts after the end of this local day are not known yet; None: everything is.
    """
    counted = Figures(year, as_of)
    years: dict[str | None, _Year] = {}
    waits: list[float] = []
    cells: Counter[_Cell] = Counter()

    def year_at(site: str | None) -> _Year:
        local = years.get(site)
        if local is None:
            local = years[site] = _Year.of(year, as_of, zone_of(site))
        return local

    for case in _regrouped(list(cases), lambda case, at: year_at(case.site).knows(at)):
        local = year_at(case.site)
        reports = case.reports
        first = reports[0] if len(reports) == 1 else min(reports)
        if first < local.known_before:
            _count(counted, case, first, local, waits, cells)
    counted.by_site.update(dict.fromkeys(sites, 0))
    _take_apart(cells, counted)
    counted.waits = _waits(waits)
    for ids in (
        counted.incidents, counted.still_open, counted.police_requested, counted.handed_over, counted.joined,
    ):  # fmt: skip
        ids.sort()
    counted.handed_over_in_year_ids = sorted(set(counted.handed_over_in_year_ids))
    return counted


def _count(
    counted: Figures, case: Case, first: datetime, local: _Year, waits: list[float], cells: Counter[_Cell]
) -> None:
    month = bisect_right(local.months, first)
    in_year = 1 <= month <= 12
    if case.joined_at is not None:
        if in_year:
            counted.joined.append(case.id)
        return
    closed = case.closed_at is not None and local.knows(case.closed_at)
    excluded = _excluded(case, closed=closed)
    if excluded is not None:
        if in_year:
            counted.excluded[excluded].append(case.id)
        return
    handed_over = [on for at, on in case.hand_overs if local.knows(at)]
    if dated := sum(on.year == counted.year for on in handed_over):
        counted.handed_over_in_year += dated
        counted.handed_over_in_year_ids.append(case.id)
    if not in_year:
        return
    counted.incidents.append(case.id)
    cells[case.site, month, case.danger_level, case.category] += 1
    if case.imported:
        counted.imported[case.source] += 1
    if not closed:
        counted.still_open.append(case.id)
    if case.calls and (calls := sum(map(local.knows, case.calls))):
        counted.police_calls += calls
        counted.police_requested.append(case.id)
        counted.requested_by_site[case.site or UNASSIGNED] += 1
    if handed_over:
        counted.handed_over.append(case.id)
        counted.handed_over_by_site[case.site or UNASSIGNED] += 1
    if case.acknowledged_at is not None and local.knows(case.acknowledged_at):
        waits.append(max(0.0, (case.acknowledged_at - first).total_seconds()))


def _regrouped(cases: list[Case], knows: Callable[[Case, datetime], bool]) -> list[Case]:
    """What people had joined at that moment; what was joined later stands apart, with what it had brought along."""
    joined = [case for case in cases if case.joined_at is not None]
    if not joined:
        return cases
    targets = {case.joined_into for case in joined}
    found = {case.id: case for case in cases if case.joined_at is not None or case.id in targets}
    for case in sorted(joined, key=lambda case: case.joined_at or _ALWAYS):
        into = found.get(case.joined_into or "")
        if case.joined_at is None or into is None:
            continue
        if knows(case, case.joined_at):
            taken = [at for at in (into.acknowledged_at, found[case.id].acknowledged_at) if at is not None]
            found[into.id] = into._replace(acknowledged_at=min(taken, default=None))
            continue
        found[into.id] = into._replace(
            reports=(into.reports[0], *_less(into.reports[1:], case.reports)),
            calls=_less(into.calls, case.calls),
            hand_overs=_less(into.hand_overs, case.hand_overs),
        )
        found[case.id] = found[case.id]._replace(joined_at=None, closed_at=None)
    return [found.get(case.id, case) for case in cases]


def _less(facts: Sequence[_Fact], gone: Sequence[_Fact]) -> tuple[_Fact, ...]:
    left = list(facts)
    for fact in gone:
        if fact in left:
            left.remove(fact)
    return tuple(left)


def _take_apart(cells: Counter[_Cell], counted: Figures) -> None:
    for (site, month, level, category), count in cells.items():
        counted.by_site[site or UNASSIGNED] += count
        counted.by_month[f"{counted.year}-{month:02}"] += count
        counted.by_level[UNKNOWN if level is None else str(level)] += count
        counted.by_category[category or UNKNOWN] += count


def _excluded(case: Case, *, closed: bool) -> str | None:
    if case.mode == LEARNING:
        return LEARNING
    if case.mode != _ACTUAL:
        return "exercise"
    return case.outcome if closed and case.outcome in EXCLUDED else None


def _waits(seconds: list[float]) -> Waits:
    if len(seconds) < FEWEST:
        return Waits(len(seconds), None, None)
    ordered = sorted(seconds)
    # The smallest time within which nine of ten were taken over: a time that did occur, not one between two.
    return Waits(len(seconds), median(ordered), ordered[math.ceil(0.9 * len(ordered)) - 1])
