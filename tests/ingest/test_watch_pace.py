"""When the watch may mail: hand-made instants, no clock."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ingest.watch.pace import AGAIN_AFTER, APART, Pace


def test_the_first_mail_goes_at_once() -> None:
    assert Pace().allows(0.0, new=True)


@pytest.mark.parametrize(
    ("since", "new", "allowed"),
    [(59.9, True, False), (60, True, True), (60, False, False), (299.9, False, False), (300, False, True)],
)
def test_a_minute_for_new_reports_and_longer_for_known_ones(since: float, new: bool, allowed: bool) -> None:
    pace = Pace()
    pace.tried_at = 1000.0
    pace.taken(1000.0)
    assert pace.allows(1000.0 + since, new=new) is allowed


@pytest.mark.parametrize("new", [False, True])
def test_what_nobody_took_is_tried_again_after_a_minute(new: bool) -> None:
    pace = Pace(tried_at=1000.0)
    assert not pace.allows(1059.9, new=new)
    assert pace.allows(1060, new=new)


def test_known_reports_are_mailed_ever_more_rarely_and_for_ever() -> None:
    pace, now, waited = Pace(), 0.0, []
    for _ in range(8):
        pace.taken(now)
        wait = next(s for s in range(7200) if pace.allows(now + s, new=False))
        waited.append(wait)
        now += wait
    assert waited == [*AGAIN_AFTER, 3600, 3600, 3600]
    pace.rest()
    pace.taken(now)
    assert pace.allows(now + 300, new=False), "after everything was heard it begins anew"


@pytest.mark.parametrize(("age", "left"), [(10, 290), (290, 10), (3600, 0), (-7200, 300)])
def test_an_earlier_process_has_mailed(age: float, left: float) -> None:
    """A wall clock that was set back makes the age negative: then the mail counts as sent just now."""
    pace = Pace()
    pace.recall(5000.0, age)
    assert not (left and pace.allows(5000.0 + left - 0.1, new=False))
    assert pace.allows(5000.0 + left, new=False)
    assert pace.allows(5000.0, new=True) is (age >= APART)


@given(st.lists(st.tuples(st.floats(0, 200), st.booleans(), st.booleans())))
def test_never_two_mails_within_a_minute(events: list[tuple[float, bool, bool]]) -> None:
    pace, now, begun = Pace(), 0.0, []
    for wait, new, taken in events:
        now += wait
        if pace.allows(now, new=new):
            begun.append(now)
            pace.tried_at = now
            if taken:
                pace.taken(now)
    assert all(later - earlier >= APART for earlier, later in itertools.pairwise(begun))
