"""CloudEvents over HTTP: three modes, the types that a source may send, and what is wrong with the others."""

import base64
import json
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from schemas import codec
from schemas.configuration import Configuration
from schemas.events import Acknowledged, Closed, Event, Heartbeat, Outcome, event_id
from schemas.report_warnings import warning
from services.ingest.api.problems import Refusal
from services.ingest.sender import Sender, senders
from services.ingest.sources.cloudevents import BATCH, EMITTER, STRUCTURED, receive
from services.ingest.sources.shape import Message
from tests.ingest.support import NOW, reported
from tests.support.organisation import organisation

ACKNOWLEDGED, CLOSED, REPORTED = (f"rufkette.incident.{n}.v1" for n in ("acknowledged", "closed", "reported"))
HEARTBEAT = "rufkette.device.heartbeat.v1"


def bus(kind: str = "form", **changes: Any) -> Sender:
    content = organisation()
    content["sources"]["bus"] = {
        "type": "cloudevents",
        "kind": kind,
        "key_sha256": "b" * 64,
        "may": ["reported", "acknowledged", "closed"],
        "devices": {"btn-7": {"site": "bernburg", "location": "Zimmer 112"}},
    } | changes
    return senders(Configuration.model_validate(content))["bus"]


def event(type_: str = ACKNOWLEDGED, **changes: Any) -> dict[str, Any]:
    data: dict[str, Any] = {"by": "A. Muster"} if type_ == ACKNOWLEDGED else {"site": "bernburg"}
    found = {"specversion": "1.0", "id": "a-1", "source": "/bus", "type": type_, "subject": "incident", "data": data}
    return {name: value for name, value in (found | changes).items() if value is not None}


def sent(content: object, kind: str = STRUCTURED, sender: Sender | None = None, **headers: str) -> list[Event]:
    raw = content if isinstance(content, bytes) else json.dumps(content).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    received = receive(Message(raw, NOW, headers={"content-type": kind} | named), sender or bus())
    return [one for one in received.events if isinstance(one, Event)]


def refused(content: object, kind: str = STRUCTURED, sender: Sender | None = None, **headers: str) -> Refusal:
    with pytest.raises(Refusal) as caught:
        sent(content, kind, sender, **headers)
    return caught.value


def test_a_structured_event() -> None:
    (made,) = sent(event(time="2026-01-05T09:12:33+01:00"))
    assert made.data == Acknowledged(by="A. Muster")
    assert (made.id, made.source, made.subject) == (event_id("bus", "a-1"), "bus", "incident")
    assert made.time.isoformat() == "2026-01-05T09:12:33+01:00"


def test_a_binary_event_with_percent_encoded_headers() -> None:
    (made,) = sent(
        {"by": "A", "outcome": "resolved"}, "application/json", ce_specversion="1.0", ce_id="gr%C3%BC%C3%9Fe",
        ce_type=CLOSED, ce_source='"/bus"', ce_subject="incident",
    )  # fmt: skip
    assert made.data == Closed(by="A", outcome=Outcome.RESOLVED)
    assert made.id == event_id("bus", "grüße")


def test_a_hand_over_that_lies_in_the_future_is_refused() -> None:
    control_room = bus(may=["handed_over"])
    handed = "rufkette.incident.handed_over.v1"
    today = NOW.astimezone(ZoneInfo("Europe/Berlin")).date()
    sent(event(handed, data={"by": "A", "on": today.isoformat()}), sender=control_room)
    tomorrow = (today + timedelta(days=1)).isoformat()
    refusal = refused(event(handed, data={"by": "A", "on": tomorrow}), sender=control_room)
    assert refusal.status == 422
    assert [(e.pointer, e.detail, e.expected) for e in refusal.errors] == [
        ("/data/on", "lies in the future", "today or an earlier day")
    ]


def test_a_batch_in_its_order() -> None:
    made = sent(
        [event(id="1"), event(REPORTED, id="2"), event(CLOSED, id="3", data={"by": "A", "outcome": "resolved"})], BATCH
    )
    assert [one.id for one in made] == [event_id("bus", number) for number in "123"]
    assert reported(made[1]).site == "bernburg"


def test_data_that_a_library_sent_as_bytes() -> None:
    encoded = base64.b64encode(b'{"by": "A. Muster"}').decode()
    (made,) = sent(event(data=None, data_base64=encoded))
    assert made.data == Acknowledged(by="A. Muster")


def test_a_report_is_checked_like_one_of_our_own() -> None:
    found = refused(event(REPORTED, data={"site": "nowhere", "danger_level": 9}))
    assert found.status == 422
    assert {fault.pointer for fault in found.errors} == {"/data/site", "/data/danger_level"}


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"id": None}, "/id"),
        ({"id": "x" * 129}, "/id"),
        ({"id": 7}, "/id"),
        ({"source": None}, "/source"),
        ({"specversion": "0.3"}, "/specversion"),
        ({"type": None}, "/type"),
        ({"type": "rufkette.incident.acknowledge.v1"}, "/type"),
        ({"subject": None}, "/subject"),
        ({"subject": "\x00"}, "/subject"),
        ({"time": "yesterday"}, "/time"),
        ({"data": None}, "/data"),
        ({"data": []}, "/data"),
        ({"data": {}}, "/data/by"),
        ({"data": {"by": "A", "bye": 1}}, "/data/bye"),
        ({"data": {"by": "A", "site": "nowhere"}}, "/data/site"),
        ({"data": {"by": "A\x00"}}, "/data/by"),
        ({"rufketteimport": True}, "/rufketteimport"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(changes: dict[str, Any], pointer: str) -> None:
    found = refused(event(**changes))
    assert found.status == 422
    assert [fault.pointer for fault in found.errors] == [pointer]
    assert all(fault.expected for fault in found.errors)


def test_a_batch_is_refused_as_a_whole_with_the_events_number() -> None:
    found = refused([event(), event(id=None), event(data={})], BATCH)
    assert [fault.pointer for fault in found.errors] == ["/1/id", "/2/data/by"]


@pytest.mark.parametrize("content", [[], {}, [1], [event(id=str(n)) for n in range(201)]])
def test_what_is_no_batch(content: object) -> None:
    assert refused(content, BATCH).status == 422


def test_only_what_a_source_may_send() -> None:
    found = refused(event(HEARTBEAT, data={"device_id": "btn-7"}, subject=None))
    assert (found.status, [fault.pointer for fault in found.errors]) == (403, ["/type"])
    (beat,) = sent(event(HEARTBEAT, data={"device_id": "BTN 7"}), sender=bus(may=["heartbeat"]))
    assert beat.data == Heartbeat(device_id="btn-7", site="bernburg")
    content = organisation()
    native = senders(Configuration.model_validate(content))["forms"]
    assert refused(event(), sender=native).status == 403
    assert reported(sent(event(REPORTED), sender=native)[0]).site == "bernburg"


def test_the_watchs_own_event_cannot_be_sent_by_anybody() -> None:
    with pytest.raises(ValueError, match="emergency_mailed"):
        bus(may=["emergency_mailed"])
    found = refused(event("rufkette.incident.emergency_mailed.v1", data={"event_ids": ["x"]}))
    assert found.status == 403


@pytest.mark.parametrize(("kind", "status"), [("text/plain", 415), ("application/json", 415), ("", 415)])
def test_what_is_no_cloudevent(kind: str, status: int) -> None:
    assert refused({"site": "bernburg"}, kind).status == status


def test_a_press_is_never_refused_for_its_content() -> None:
    panic = bus("panic")
    for content in (
        {},
        {"site": "bernburg"},
        event("press", id=None, data=None),
        event(REPORTED, data={"x": 1}, time="?"),
    ):
        (made,) = sent(content, "application/json", panic)
        assert reported(made).warnings
    assert refused(event(), "text/plain", bus("panic", may=["reported"])).status == 403


@pytest.mark.parametrize(
    ("content", "kind", "headers"),
    [
        (event(REPORTED), BATCH, {}),
        ({"site": "bernburg"}, "text/plain", {"ce_specversion": "1.0", "ce_type": REPORTED}),
        (b'{"site": "x", "site": "bernburg"}', "application/json", {"ce_specversion": "1.0", "ce_type": REPORTED}),
        (b'{"type": "x", "type": "y", "data": {"site": "bernburg"}}', STRUCTURED, {}),
    ],
    ids=["one as a batch", "another content type", "a key twice in binary mode", "a key twice"],
)
def test_a_press_is_not_refused_for_its_form_either(content: object, kind: str, headers: dict[str, str]) -> None:
    (made,) = sent(content, kind, bus("panic"), **headers)
    assert reported(made).site == "bernburg"
    twice = isinstance(content, bytes)
    assert any("more than" in text or "twice" in text for text in reported(made).warnings) is twice
    assert refused(content, kind, bus(), **headers).status in (400, 415, 422)


def test_a_time_in_the_future_is_now() -> None:
    assert sent(event(time="2030-01-01T00:00:00Z"))[0].time == NOW


@pytest.mark.parametrize("time", ["0001-01-01T00:00:00+14:00", "0001-01-01T00:00:00Z", "1999-12-31T23:59:59Z"])
def test_a_time_that_nobody_lived_in_is_left_out_of_a_press_and_refused_of_others(time: str) -> None:
    press = event(REPORTED, subject=None, time=time)
    (made,) = sent(press, sender=bus("panic"))
    codec.encode(made)
    assert made.time == NOW
    assert reported(made).warnings == (warning("event_too_old"),)
    assert [fault.pointer for fault in refused(press).errors] == ["/time"]


def test_a_form_may_be_of_last_year_but_a_press_is_not() -> None:
    last_year = event(REPORTED, subject=None, time=(NOW - timedelta(days=365)).isoformat())
    assert sent(last_year)[0].time == NOW - timedelta(days=365)
    assert sent(last_year, sender=bus("panic"))[0].time == NOW


def test_batches_are_not_for_hooks() -> None:
    with pytest.raises(Refusal) as caught:
        EMITTER.parse(Message(json.dumps([event()]).encode(), NOW, headers={"content-type": BATCH}), bus())
    assert caught.value.status == 415


BUSES = {kind: bus(kind) for kind in ("form", "panic")}
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=8,
)


@settings(suppress_health_check=[HealthCheck.too_slow])  # Unicode's tables are built once, by whichever test is first
@given(
    st.dictionaries(
        st.sampled_from(["specversion", "id", "source", "type", "subject", "time", "data", "data_base64"]), ANYTHING
    ),
    st.sampled_from([STRUCTURED, BATCH, "application/json", "text/plain"]),
    st.sampled_from(["form", "panic"]),
)
def test_no_object_is_more_than_refused(content: dict[str, Any], kind: str, of: str) -> None:
    try:
        made = sent(event() | content, kind, BUSES[of])
    except Refusal as refusal:
        status = refusal.status
    else:
        status = 202 if made else 500
    assert status < 500
