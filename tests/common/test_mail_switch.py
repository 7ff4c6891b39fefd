"""When the fallback is engaged, and when the normal server is trusted again: every rule as a row."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.mail.switch import FAILURES, QUIET, TROUBLE, Change, Switch


def engaged(*, reached: bool) -> Switch:
    switch = Switch()
    for second in range(FAILURES):
        switch.failed(second, reached=reached)
    assert switch.engaged
    return switch


def test_failures_in_a_row_engage_it_once() -> None:
    switch = Switch()
    changes = [switch.failed(0.0, reached=True) for _ in range(FAILURES + 3)]
    assert changes == [None] * (FAILURES - 1) + [Change.ENGAGED] + [None] * 3


def test_a_success_between_them_does_not() -> None:
    switch = Switch()
    for _ in range(FAILURES):
        for _ in range(FAILURES - 1):
            assert switch.failed(0.0, reached=True) is None
        assert switch.worked() is None


@pytest.mark.parametrize(("later", "change"), [(TROUBLE - 0.1, None), (TROUBLE, Change.ENGAGED)])
def test_trouble_that_lasts_engages_it_after_fewer(later: float, change: Change | None) -> None:
    switch = Switch()
    switch.failed(100.0, reached=True)
    assert switch.failed(100.0 + later, reached=True) is change


def test_a_greeting_proves_enough_where_being_away_was_all() -> None:
    switch = engaged(reached=False)
    assert switch.greeted(10.0) is Change.RELEASED
    assert switch.normal_first()
    assert switch.failures == 0


def test_after_other_failures_a_greeting_only_allows_one_trial() -> None:
    switch = engaged(reached=True)
    assert not switch.normal_first()
    assert switch.greeted(10.0) is None
    assert [switch.normal_first() for _ in range(3)] == [True, False, False]
    assert switch.worked() is Change.RELEASED
    assert switch.normal_first()


def test_a_trial_that_fails_is_over() -> None:
    switch = engaged(reached=True)
    switch.greeted(10.0)
    switch.failed(11.0, reached=True)
    assert not switch.normal_first()


def test_without_a_mail_to_prove_it_time_does() -> None:
    switch = engaged(reached=True)
    assert switch.greeted(FAILURES - 1 + QUIET - 0.1) is None
    assert switch.greeted(FAILURES - 1 + QUIET) is Change.RELEASED


@given(st.lists(st.sampled_from(["failed", "away", "worked", "greeted", "ask"])))
def test_every_change_is_told_once_and_as_it_is(happenings: list[str]) -> None:
    switch, told = Switch(), False
    for second, happening in enumerate(happenings):
        change = None
        match happening:
            case "failed" | "away":
                change = switch.failed(second, reached=happening == "failed")
            case "worked":
                change = switch.worked()
            case "greeted":
                change = switch.greeted(second)
            case _:
                assert switch.normal_first() or switch.engaged
        if change is not None:
            assert told is (change is Change.RELEASED)
            told = change is Change.ENGAGED
        assert told is switch.engaged
