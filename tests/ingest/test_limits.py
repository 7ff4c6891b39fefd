"""How much a source may send that is no press: by a clock that the test moves."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ingest.activity import Rate
from services.ingest.api.problems import Refusal
from services.ingest.limits import BURST, PER_SECOND, Limits


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def admitted(limits: Limits, source: str = "forms", count: int = 1) -> bool:
    try:
        limits.admit(source, count)
    except Refusal:
        return False
    return True


def wait(limits: Limits, count: int = 1) -> int:
    with pytest.raises(Refusal) as caught:
        limits.admit("forms", count)
    assert caught.value.status == 429
    return int(caught.value.headers["Retry-After"])


@pytest.mark.parametrize(
    ("after", "count", "fits"),
    [
        (0.0, 1, False),
        (0.005, 1, False),
        (0.011, 1, True),
        (1.0, 100, True),
        (1.0, 101, False),
        (19.9, 2000, False),
        (20.0, 2000, True),
        (3600.0, 2000, True),
        (3600.0, 2001, False),
    ],
)
def test_an_empty_bucket_fills_with_time_and_not_over_its_brim(after: float, count: int, fits: bool) -> None:
    clock = Clock()
    limits = Limits(clock)
    assert admitted(limits, count=int(BURST))
    clock.now += after
    assert admitted(limits, count=count) is fits


@pytest.mark.parametrize(("count", "seconds"), [(1, 1), (100, 1), (101, 2), (200, 2), (2000, 20)])
def test_whoever_waits_as_long_as_told_is_taken(count: int, seconds: int) -> None:
    clock = Clock()
    limits = Limits(clock)
    limits.admit("forms", int(BURST))
    assert wait(limits, count) == seconds
    clock.now += seconds
    assert admitted(limits, count=count)


def test_what_is_refused_takes_nothing_away() -> None:
    limits = Limits(Clock())
    limits.admit("forms", int(BURST) - 5)
    assert not admitted(limits, count=6)
    assert admitted(limits, count=5)


def test_each_source_has_its_own() -> None:
    limits = Limits(Clock())
    limits.admit("forms", int(BURST))
    assert not admitted(limits)
    assert admitted(limits, "intranet", int(BURST))


STEPS = st.lists(st.tuples(st.floats(0, 30), st.integers(1, 300)), max_size=60)


@given(STEPS)
def test_never_more_than_the_burst_and_the_time_allow_and_no_less_than_the_time(steps: list[tuple[float, int]]) -> None:
    clock = Clock()
    limits, began, taken = Limits(clock), clock.now, 0
    for pause, count in steps:
        clock.now += pause
        room = BURST + (clock.now - began) * PER_SECOND - taken
        fits = admitted(limits, count=count)
        taken += count if fits else 0
        assert not fits or count <= room + 1e-6
        # Only a full bucket loses what time brings, and a full one takes any of these.
        assert fits or count > min(BURST, pause * PER_SECOND) - 1e-6


def test_a_rate_counts_the_last_minutes_only() -> None:
    clock = Clock()
    clock.now = 960.0
    rate = Rate(clock)
    for _ in range(120):
        rate.count()
        clock.now += 30
    assert (rate.within(60), rate.within(5)) == (118, 8)  # the minute that has just begun is empty
    clock.now += 3600
    assert (rate.within(60), rate.within(5)) == (0, 0)
    rate.count()
    assert (rate.within(60), rate.within(5)) == (1, 1)
