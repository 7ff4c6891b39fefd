"""Reading what stands on a topic: whatever it is, it is an event or a reason."""

from datetime import UTC, datetime, timedelta

import pytest

from schemas.events import Event
from services.alerting.reading.records import Unread, mark, read, rejected
from tests.alerting.records import Record


def test_the_time_of_arrival_stands_in_for_a_missing_one() -> None:
    event = read(Record())
    assert isinstance(event, Event)
    assert event.time == datetime.fromtimestamp(1_767_600_000, UTC)


@pytest.mark.parametrize("timestamp", [-1, 2**62, -(2**62), 253_402_300_799_000])
def test_a_time_of_arrival_that_cannot_be_is_now(timestamp: int) -> None:
    event = read(Record(timestamp=timestamp))
    assert isinstance(event, Event)
    assert abs(datetime.now(UTC) - event.time) < timedelta(minutes=1)


def test_what_nobody_thought_of_is_no_more_than_unreadable() -> None:
    item = read(Record(headers=((None, b"x"),)))
    assert isinstance(item, Unread)
    assert item.reason == "reading it failed (AttributeError)"


def test_a_rejected_record_can_be_stored_whatever_its_headers_hold() -> None:
    record = rejected(Record(headers=(("a\x00", b"b\x00\xff"),)), "why")
    assert record.headers[0] == ("a\ufffd", "b\ufffd\ufffd".encode())
    assert dict(record.headers)["rufkette_offset"] == b"7"


def test_a_mark_is_the_id_or_where_it_stood() -> None:
    assert mark(Record()) == "a"
    assert mark(Record(headers=(("ce_id", b"\x00\xff"),))) == "\ufffd\ufffd"
    assert mark(Record(headers=())) == "offset:7"
