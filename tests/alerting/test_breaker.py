import random

import pytest

from services.alerting.reading.breaker import WINDOW, Breaker, TrippedError

BAD, GOOD = True, False


def test_a_wrong_deployment_trips_before_anything_is_passed_over() -> None:
    breaker = Breaker(accept=False)
    with pytest.raises(TrippedError):
        breaker.judge([BAD] * WINDOW)
    assert breaker.tripped


def test_also_record_by_record_and_after_a_good_time() -> None:
    breaker = Breaker(accept=False)
    breaker.judge([GOOD] * 500)
    for _ in range(60):
        breaker.judge([BAD])
    with pytest.raises(TrippedError):
        breaker.judge([BAD])


def test_single_bad_records_and_a_small_burst_do_not() -> None:
    breaker = Breaker(accept=False)
    breaker.judge([BAD] * 60)  # a burst on a fresh process
    breaker.judge([GOOD] * 40)
    chance = random.Random(5)  # noqa: S311 – no secret
    for _ in range(2_000):
        breaker.judge([chance.random() < 0.3])
    breaker.judge([BAD] * 25)
    assert not breaker.tripped


def test_bad_ones_in_front_of_many_good_ones_are_data() -> None:
    breaker = Breaker(accept=False)
    breaker.judge([BAD] * 150 + [GOOD] * 350)
    assert not breaker.tripped


def test_an_operator_can_accept_them() -> None:
    breaker = Breaker(accept=True)
    for _ in range(10):
        breaker.judge([BAD] * WINDOW)
    assert not breaker.tripped
