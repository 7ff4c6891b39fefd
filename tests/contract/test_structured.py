"""Lines of EVENTS.jsonl: what is written is read back, and what is wrong is said with its place."""

import json
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.codec import Unreadable
from schemas.events import (
    EARLIEST,
    LATEST,
    TYPE_OF,
    Acknowledged,
    Category,
    Closed,
    Data,
    EmergencyMailed,
    Event,
    HandedOver,
    Heartbeat,
    Outcome,
    PoliceRequested,
    Reported,
)
from schemas.structured import UnreadableLine, parse_line, parse_lines, to_line

RANGE = EARLIEST.replace(tzinfo=None), (LATEST - timedelta(microseconds=1)).replace(tzinfo=None)
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), min_size=1, max_size=20)
REPORTS = st.builds(
    Reported,
    site=st.none() | TEXT,
    location=st.none() | TEXT,
    danger_level=st.none() | st.integers(0, 3),
    category=st.none() | st.sampled_from(Category),
    description=st.none() | TEXT,
    occurred_at=st.none() | st.datetimes(*RANGE, timezones=st.just(UTC)),
)
DATA: st.SearchStrategy[Data] = st.one_of(
    REPORTS,
    st.builds(Acknowledged, by=TEXT),
    st.builds(PoliceRequested, by=TEXT, reference=st.none() | TEXT),
    st.builds(HandedOver, by=TEXT, on=st.none() | st.dates(min_value=date(2000, 1, 1))),
    st.builds(Closed, by=TEXT, outcome=st.sampled_from(Outcome), measures=st.tuples(TEXT)),
    st.builds(EmergencyMailed, event_ids=st.tuples(TEXT)),
    st.builds(Heartbeat, device_id=TEXT, battery=st.none() | st.floats(0, 1)),
)
EVENTS = st.builds(
    Event,
    id=TEXT,
    source=TEXT,
    time=st.datetimes(timezones=st.just(UTC)),
    data=DATA,
    subject=TEXT,
    imported=st.booleans(),
)


@given(EVENTS)
def test_what_is_written_is_read_back_from_one_line(event: Event) -> None:
    line = to_line(event)
    assert len(line.splitlines()) == 1
    assert parse_line(line) == event
    assert list(parse_lines([line.encode() + b"\n"])) == [(1, event)]


def test_a_line_is_a_structured_cloudevent() -> None:
    event = Event(
        id="e1", source="forms", time=datetime(2026, 1, 5, 9, tzinfo=UTC), data=Reported(site="bernburg"), imported=True
    )
    line = json.loads(to_line(event))
    data = line.pop("data")
    assert line == {
        "specversion": "1.0",
        "id": "e1",
        "source": "forms",
        "type": TYPE_OF[Reported],
        "time": "2026-01-05T09:00:00Z",
        "datacontenttype": "application/json",
        "rufketteimport": True,
    }
    assert data["site"] == "bernburg"
    assert "description" not in data


GOOD: dict[str, Any] = {
    "specversion": "1.0",
    "id": "e1",
    "source": "forms",
    "type": "rufkette.incident.reported.v1",
    "time": "2026-01-05T09:12:33+01:00",
    "data": {"site": "bernburg"},
}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"specversion": None}, 'specversion: is missing or not 1.0; expected "specversion":"1.0"'),
        ({"id": None}, "id: is missing; expected a text"),
        ({"source": None, "sorce": "x"}, "source: is missing (is sorce meant for it?); expected a text"),
        ({"id": 7}, "id: is no text; expected a text"),
        ({"id": ""}, "id: does not fit; expected String should have at least 1 character"),
        (
            {"type": "rufkette.incident.reportd.v1"},
            "type: is not known; expected rufkette.incident.reported.v1 perhaps",
        ),
        ({"type": "x"}, "type: is not known; expected one of rufkette.incident.reported.v1, "),
        ({"time": None}, "time: is missing; expected RFC 3339 with offset"),
        ({"time": "2026-01-05T09:12:33"}, "time: is no time; expected RFC 3339 with offset"),
        ({"time": "1767600000"}, "time: is no time; expected RFC 3339 with offset"),
        ({"time": "2026-02-30T09:12:33Z"}, "time: does not exist; expected RFC 3339 with offset"),
        ({"time": "0001-01-01T00:00:00+14:00"}, "time: does not exist; expected RFC 3339 with offset"),
        ({"type": "rufkette.incident.closed.v1", "data": {"bye": 1}}, "data.bye: unknown field; expected by perhaps"),
        ({"data": None}, "data: is missing or no object; expected the event's fields as a JSON object"),
        ({"data": []}, "data: is missing or no object; expected the event's fields as a JSON object"),
        ({"data": {"danger_levl": 1}}, "data.danger_levl: unknown field; expected danger_level perhaps"),
        ({"data": {"danger_level": 7}}, "data.danger_level: does not fit; expected less than or equal to 3"),
        ({"data": {"category": "wepon"}}, "data.category: does not fit; expected 'insult', 'threat', "),
        ({"data": {"site": "a\x00"}}, "data.site: does not fit; expected must not contain the NUL character"),
        ({"data": {"site": "\ud800"}}, "data.site: does not fit; expected a valid string, unable to parse"),
        ({"data_base64": "e30="}, "data_base64: is not taken; expected data as a JSON object"),
        ({"datacontenttype": "text/xml"}, "datacontenttype: is not taken; expected application/json"),
        ({"rufketteimport": "yes"}, "rufketteimport: is neither true nor false; expected true or false"),
    ],
)
def test_a_mistake_is_told_with_what_is_expected(changes: dict[str, Any], told: str) -> None:
    line = {name: value for name, value in (GOOD | changes).items() if value is not None}
    with pytest.raises(Unreadable) as refused:
        parse_line(json.dumps(line))
    assert str(refused.value).startswith(told)


def test_a_follow_up_says_which_incident_it_is_about() -> None:
    line = GOOD | {"type": "rufkette.incident.acknowledged.v1", "data": {"by": "A. Muster"}}
    with pytest.raises(Unreadable, match=r"^subject: is missing; expected the id of the incident"):
        parse_line(json.dumps(line))
    assert parse_line(json.dumps(line | {"subject": "e0"})).subject == "e0"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "is no JSON: Expecting property name"),
        ("[1]", "is no JSON object; expected one CloudEvent on the line"),
        ('{"id":NaN}', "NaN is no JSON; expected a number"),
        ('{"id":"a","id":"b"}', "id: stands twice; expected each name once"),
        ("[" * 200_000, "is no JSON"),
        ('{"id":' + "9" * 5000 + "}", "is no JSON that can be read"),
    ],
)
def test_what_is_no_json_is_told(text: str, told: str) -> None:
    with pytest.raises(Unreadable) as refused:
        parse_line(text)
    assert str(refused.value).startswith(told)


def test_values_are_not_repeated_in_messages() -> None:
    with pytest.raises(Unreadable) as refused:
        parse_line(json.dumps(GOOD | {"data": {"site": 7, "category": "Frau Beispiel rief an"}}))
    assert "Beispiel" not in str(refused.value)


def test_other_extensions_of_cloudevents_are_passed_over() -> None:
    assert parse_line(json.dumps(GOOD | {"traceparent": "00-1-2-01", "dataschema": "urn:x"})).id == "e1"


def test_files_have_lines() -> None:
    good = json.dumps(GOOD).encode()
    lines = [b"\xef\xbb\xbf" + good + b"\r\n", b"\n", good + b"\n"]
    assert [number for number, _ in parse_lines(lines)] == [1, 3]
    with pytest.raises(UnreadableLine) as refused:
        list(parse_lines([*lines, b"\n", b'{"caf\xe9": 1}\n']))
    assert (refused.value.line, refused.value.why) == (5, "is not UTF-8; expected text in UTF-8")
    with pytest.raises(UnreadableLine, match=r"^line 2: is no JSON"):
        list(parse_lines([good, b"{"]))
