"""The definitions of the yearly report, one case each, without a database."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from services.alerting.core.figures import Case, Figures, figures

BERLIN = ZoneInfo("Europe/Berlin")
SITES = ("bernburg", "calbe")


def local(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=BERLIN).astimezone(UTC)


NOON = local("2018-03-05T12:00")
PLAIN = Case("a", "bernburg", "forms", False, "actual", 2, "threat", (NOON,))


def replace(case: Case, **change: Any) -> Case:
    return case._replace(**change)


def count(*cases: Case, year: int = 2018, as_of: str | None = None) -> Figures:
    day = date.fromisoformat(as_of) if as_of else None
    return figures(cases, year, zone_of=lambda _: BERLIN, sites=SITES, as_of=day)


def adds_up(found: Figures) -> bool:
    tables = (found.by_site, found.by_month, found.by_level, found.by_category)
    return all(table.total() == len(found.incidents) for table in tables)


def test_a_merged_incident_counts_once_from_its_first_report() -> None:
    found = count(replace(PLAIN, reports=(local("2019-01-01T00:03"), local("2018-12-31T23:58"))))
    assert found.incidents == ["a"]
    assert found.by_month["2018-12"] == 1


@pytest.mark.parametrize(
    ("at", "year"),
    [("2018-01-01T00:00", 2018), ("2018-12-31T23:59:59", 2018), ("2017-12-31T23:59", 2017), ("2019-01-01T00:00", 2019)],
)
def test_the_year_is_the_local_date_of_the_report(at: str, year: int) -> None:
    case = replace(PLAIN, reports=(local(at),))
    assert [y for y in (2017, 2018, 2019) if count(case, year=y).incidents] == [year]


@pytest.mark.parametrize("outcome", ["false_alarm", "not_relevant", "test"])
def test_what_was_no_incident_stands_on_its_own_line(outcome: str) -> None:
    found = count(PLAIN, replace(PLAIN, id="b", outcome=outcome, closed_at=NOON, calls=(NOON,)))
    assert found.incidents == ["a"]
    assert found.excluded[outcome] == ["b"]
    assert (found.police_requested, found.police_calls) == ([], 0)
    assert adds_up(found)


def test_an_exercise_never_counts_however_it_was_closed() -> None:
    found = count(
        replace(PLAIN, mode="exercise", outcome="resolved", closed_at=NOON, hand_overs=((NOON, NOON.date()),))
    )
    assert found.excluded["exercise"] == ["a"]
    assert (found.incidents, found.handed_over_in_year) == ([], 0)


def test_open_incidents_count_and_are_marked() -> None:
    found = count(PLAIN, replace(PLAIN, id="b", outcome="resolved", closed_at=NOON))
    assert (found.incidents, found.still_open) == (["a", "b"], ["a"])


def test_requested_counts_incidents_and_beside_them_calls() -> None:
    found = count(replace(PLAIN, calls=(NOON, NOON)), replace(PLAIN, id="b"), replace(PLAIN, id="c", calls=(NOON,)))
    assert (found.police_requested, found.police_calls) == (["a", "c"], 3)


def test_hand_overs_count_with_their_incident_and_by_their_own_date() -> None:
    late = (local("2019-02-01T09:00"), date(2019, 2, 1))
    twice = replace(PLAIN, hand_overs=((NOON, date(2018, 3, 5)), late))
    assert (count(twice).handed_over, count(twice).handed_over_in_year) == (["a"], 1)
    next_year = count(twice, year=2019)
    assert (next_year.incidents, next_year.handed_over) == ([], [])
    assert (next_year.handed_over_in_year, next_year.handed_over_in_year_ids) == (1, ["a"])


def test_as_of_knows_only_what_was_recorded_by_the_end_of_the_local_day() -> None:
    last, after = local("2018-03-31T23:59"), local("2018-04-01T00:00")
    hand_overs = ((last, date(2018, 3, 31)), (after, date(2018, 3, 31)))
    case = replace(
        PLAIN, calls=(last, after), hand_overs=hand_overs, closed_at=after, outcome="false_alarm", acknowledged_at=after
    )
    found = count(case, replace(PLAIN, id="b", reports=(after,)), as_of="2018-03-31")
    assert (found.incidents, found.still_open) == (["a"], ["a"])
    assert (found.police_calls, found.handed_over_in_year, found.waits.incidents) == (1, 1, 0)
    later = count(case, replace(PLAIN, id="b", reports=(after,)), as_of="2018-04-01")
    assert (later.incidents, later.excluded["false_alarm"]) == (["b"], ["a"])


def test_sites_with_nothing_and_what_belongs_to_none_are_shown() -> None:
    found = count(replace(PLAIN, site=None, danger_level=None, category=None))
    assert dict(found.by_site) == {"unassigned": 1, "bernburg": 0, "calbe": 0}
    assert (found.by_level["unknown"], found.by_category["unknown"]) == (1, 1)
    assert adds_up(found)


@pytest.mark.parametrize(("taken", "shown"), [(4, False), (5, True)])
def test_times_are_shown_over_five_incidents_only(taken: int, *, shown: bool) -> None:
    def case(number: int, **change: Any) -> Case:
        return replace(PLAIN, id=f"{number}", acknowledged_at=NOON + timedelta(seconds=number), **change)

    found = count(*(case(n) for n in range(1, taken + 1)), case(99, outcome="false_alarm", closed_at=NOON))
    assert found.waits.incidents == taken
    assert (found.waits.median, found.waits.p90) == ((3, 5) if shown else (None, None))


LATER = NOON + timedelta(days=30)


def joined(id_: str, into: str, at: datetime = LATER, **change: Any) -> Case:
    """As the database has it: ended at the joining, without an outcome, with the facts that it had."""
    return replace(PLAIN, id=id_, joined_into=into, joined_at=at, closed_at=at, **change)


def test_a_joined_incident_counts_with_the_one_that_it_is_part_of() -> None:
    call, hand_over = NOON + timedelta(minutes=1), (NOON, NOON.date())
    found = count(
        joined("a", "b", calls=(call,), hand_overs=(hand_over,)),
        replace(PLAIN, id="b", reports=(NOON, NOON), calls=(call, NOON), hand_overs=(hand_over,)),
    )
    assert (found.incidents, found.joined) == (["b"], ["a"])
    assert (found.police_requested, found.police_calls, found.handed_over) == (["b"], 2, ["b"])
    assert (found.handed_over_in_year, found.still_open) == (1, ["b"])
    assert not any(found.excluded.values())
    assert adds_up(found)


@pytest.mark.parametrize(
    ("as_of", "incidents", "calls", "merged"),
    [("2018-04-03", ["a", "b"], {"a": 1, "b": 0}, []), ("2018-04-04", ["b"], {"b": 1}, ["a"])],
)
def test_before_the_joining_both_count_with_what_was_theirs(
    as_of: str, incidents: list[str], calls: dict[str, int], merged: list[str]
) -> None:
    found = count(
        joined("a", "b", calls=(NOON,), hand_overs=((NOON, NOON.date()),)),
        replace(PLAIN, id="b", reports=(NOON, NOON), calls=(NOON,), hand_overs=((NOON, NOON.date()),)),
        as_of=as_of,
    )
    assert (found.incidents, found.joined) == (incidents, merged)
    assert found.police_requested == [id_ for id_, number in calls.items() if number]
    assert (found.police_calls, found.handed_over_in_year) == (1, 1)
    assert found.still_open == incidents
    assert adds_up(found)


@pytest.mark.parametrize(
    ("as_of", "incidents"), [("2018-03-31", ["a", "b", "c"]), ("2018-04-10", ["b", "c"]), ("2018-05-01", ["c"])]
)
def test_joined_one_after_the_other(as_of: str, incidents: list[str]) -> None:
    found = count(
        joined("a", "b", LATER, calls=(NOON,)),
        joined("b", "c", LATER + timedelta(days=10), reports=(NOON, NOON), calls=(NOON,)),
        replace(PLAIN, id="c", reports=(NOON,) * 3, calls=(NOON,)),
        as_of=as_of,
    )
    assert found.incidents == incidents
    assert (found.police_requested, found.police_calls) == ([incidents[0]], 1)


def test_who_took_the_joined_one_over_first_counts() -> None:
    cases = []
    for number in range(5):
        cases.append(joined(f"a{number}", f"b{number}", acknowledged_at=NOON + timedelta(seconds=10)))
        later = replace(PLAIN, id=f"b{number}", reports=(NOON, NOON), acknowledged_at=NOON + timedelta(hours=1))
        cases.append(later)
    assert count(*cases).waits.median == 10
    assert count(*cases, as_of="2018-04-01").waits.incidents == 10


def test_a_joined_exercise_is_one_exercise() -> None:
    found = count(joined("a", "b", mode="exercise"), replace(PLAIN, id="b", mode="exercise"))
    assert (found.excluded["exercise"], found.joined) == (["b"], ["a"])
