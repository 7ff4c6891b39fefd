"""What a process has claimed: the worst goes first, no more is claimed than goes soon, what has to wait goes back."""

import uuid
from dataclasses import replace
from datetime import timedelta

import pytest

from services.alerting.changes import Mail
from services.alerting.mailing.in_hand import MOST_AHEAD, PATIENCE, InHand
from tests.core.made_up import PRESSED_AT, notify, pressed, rules


def mails(*urgencies: int) -> list[Mail]:
    """One for each urgency, each a second younger than the one before, which `attempt` counts."""
    incident = pressed(rules())
    return [
        Mail(
            id=uuid.uuid4(),
            lease=uuid.uuid4(),
            incident=incident,
            notify=replace(notify(incident), urgency=urgency),
            created_at=PRESSED_AT + timedelta(seconds=number),
            attempt=number,
        )
        for number, urgency in enumerate(urgencies)
    ]


async def test_the_worst_that_waits_is_next_and_the_oldest_of_those() -> None:
    in_hand = InHand()
    in_hand.count = 5
    in_hand.put(mails(2, 1, 2), now=0)
    in_hand.put(mails(1, 0), now=0)
    taken = [await in_hand.take() for _ in range(5)]
    assert [mail.notify.urgency for mail in taken] == [0, 1, 1, 2, 2]
    assert [mail.attempt for mail in taken[1:]] == [0, 1, 0, 2]


@pytest.mark.parametrize(("mails_a_second", "ahead"), [(0, 0), (10, 0), (500, 30), (1000, 60), (10_000, MOST_AHEAD)])
def test_as_much_ahead_as_goes_in_a_moment(mails_a_second: int, ahead: int) -> None:
    in_hand = InHand()
    in_hand.count = 1000
    in_hand.look_ahead(100.0, many=True)
    for tick in range(1, 11):  # looked at more often than the pace is measured
        for _ in range(mails_a_second // 100):
            in_hand.sent()
        in_hand.look_ahead(100.0 + tick / 100, many=True)
    assert abs(in_hand.ahead - ahead) <= 1


def test_nothing_is_claimed_ahead_where_no_more_waits() -> None:
    in_hand = InHand()
    in_hand.count = 100
    for _ in range(100):
        in_hand.sent()
    in_hand.look_ahead(1.0, many=False)
    assert in_hand.ahead == 0


async def test_what_waits_too_long_goes_back_and_what_came_later_stays() -> None:
    in_hand = InHand()
    in_hand.count = 4
    in_hand.put(mails(1, 2), now=100)
    in_hand.put(mails(3), now=100 + PATIENCE)
    taken = await in_hand.take()
    assert in_hand.overdue(100 + PATIENCE / 2) == []
    overdue = in_hand.overdue(100.1 + PATIENCE)
    assert [mail.notify.urgency for mail in overdue] == [2]
    assert in_hand.count == 3, "the one that is being sent, the later one, and a connection that is kept"
    assert taken.notify.urgency == 1
    assert (await in_hand.take()).notify.urgency == 3
    assert in_hand.overdue(200) == []
