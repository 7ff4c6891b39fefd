import uuid
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import codec
from schemas.events import Category, Event, Kind, Mode, PoliceWish, event_id
from services.ingest.api.problems import Refusal
from services.ingest.report_body import EXPECTED, LONGEST, ReportBody
from services.ingest.reports import report
from tests.ingest.support import NOW, reported, sender

FULL = {
    "id": "f-1",
    "kind": "form",
    "site": "bernburg",
    "location": "Zimmer 112",
    "danger_level": 1,
    "category": "insult",
    "description": "Es begann am Schalter.\nDann …",
    "reported_by": "A. Müller",
    "acute": False,
    "police": "called",
    "reference": "btn-1",
    "mode": "actual",
    "occurred_at": "2026-01-05T09:12:33+01:00",
}


def test_a_full_form_is_taken_as_it_is() -> None:
    event = report(FULL, sender("forms"), received_at=NOW)
    data = reported(event)
    assert event.id == event_id("forms", "f-1") == str(uuid.uuid5(uuid.NAMESPACE_URL, "rufkette:forms:f-1"))
    assert (event.source, event.time) == ("forms", NOW)
    assert (data.kind, data.site, data.location) == (Kind.FORM, "bernburg", "Zimmer 112")
    assert (data.danger_level, data.category, data.acute) == (1, Category.INSULT, False)
    assert (data.police, data.mode, data.reported_by) == (PoliceWish.CALLED, Mode.ACTUAL, "A. Müller")
    assert data.description == FULL["description"]
    assert data.occurred_at == datetime(2026, 1, 5, 8, 12, 33, tzinfo=UTC)
    assert data.warnings == ()


def test_only_the_site_is_required() -> None:
    data = reported(report({"site": "bernburg"}, sender("forms"), received_at=NOW))
    assert (data.danger_level, data.category, data.acute, data.mode) == (None, None, True, Mode.ACTUAL)


def test_each_expectation_belongs_to_a_field() -> None:
    assert set(EXPECTED) == set(ReportBody.model_fields)
    assert set(LONGEST) <= set(EXPECTED)


WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"danger_level": 4}, "/danger_level", "an integer from 0 to 3"),
    ({"danger_level": -1}, "/danger_level", "an integer from 0 to 3"),
    ({"danger_level": "2"}, "/danger_level", "an integer from 0 to 3"),
    ({"danger_level": True}, "/danger_level", "an integer from 0 to 3"),
    ({"danger_level": 2.0}, "/danger_level", "an integer from 0 to 3"),
    ({"danger_level": 10**300}, "/danger_level", "an integer from 0 to 3"),
    ({"category": "thread"}, "/category", "one of insult, threat"),
    ({"category": {}}, "/category", "one of insult, threat"),
    ({"kind": "panic"}, "/kind", "form"),
    ({"kind": "button"}, "/kind", "one of panic, form, manual"),
    ({"site": "bremen"}, "/site", "one of bernburg, stassfurt, english"),
    ({"site": 5}, "/site", "the key of a configured site"),
    ({"site": "Bernburg"}, "/site", "one of bernburg, stassfurt, english"),
    ({"site": None}, "/site", "one of bernburg, stassfurt, english"),
    ({"site": None, "device_id": "btn-9"}, "/device_id", "a device under"),
    ({"location": "x" * 201}, "/location", "at most 200"),
    ({"location": "a\x00b"}, "/location", "at most 200"),
    ({"description": "\ud800"}, "/description", "a string"),
    ({"description": "x" * 20_001}, "/description", "at most 20,000"),
    ({"acute": "nein"}, "/acute", "true or false"),
    ({"acute": 1}, "/acute", "true or false"),
    ({"police": "yes"}, "/police", "one of none, wanted, called"),
    ({"mode": "test"}, "/mode", "one of actual, exercise"),
    ({"occurred_at": "gestern"}, "/occurred_at", "RFC 3339"),
    ({"occurred_at": "2026-01-05T09:12:33"}, "/occurred_at", "RFC 3339"),
    ({"occurred_at": 1_700_000_000}, "/occurred_at", "RFC 3339"),
    ({"occurred_at": "2026-01-05T12:00:00Z"}, "/occurred_at", "RFC 3339"),
    ({"occurred_at": "9999-12-31T23:59:59-23:59"}, "/occurred_at", "RFC 3339"),
    ({"occurred_at": "0001-01-01T00:00:00+23:59"}, "/occurred_at", "RFC 3339"),
    ({"occurred_at": "2026-02-30T00:00:00Z"}, "/occurred_at", "RFC 3339"),
    ({"id": ""}, "/id", "1 to 128"),
    ({"id": "x" * 129}, "/id", "1 to 128"),
    ({"id": "\ud800"}, "/id", "1 to 128"),
    ({"id": "\x00"}, "/id", "1 to 128"),
    ({"id": 7}, "/id", "1 to 128"),
    ({"categry": "threat"}, "/categry", "one of id, kind, site"),
    ({"a/b~c": 1}, "/a~1b~0c", "one of id, kind, site"),
    ({"\ud800": 1}, "/\ud800", "one of id, kind, site"),
]


@pytest.mark.parametrize(("change", "pointer", "expected"), WRONG, ids=lambda v: ascii(v)[:40])
def test_a_form_is_told_what_is_wrong(change: dict[str, Any], pointer: str, expected: str) -> None:
    with pytest.raises(Refusal) as refused:
        report(FULL | change, sender("forms"), received_at=NOW)
    assert refused.value.status == 422
    assert [fault.pointer for fault in refused.value.errors] == [pointer]
    assert expected in refused.value.errors[0].expected


@pytest.mark.parametrize(("change", "pointer", "_"), WRONG, ids=lambda v: ascii(v)[:40])
def test_a_press_is_taken_with_the_same_mistake(change: dict[str, Any], pointer: str, _: str) -> None:
    event = report({"site": "bernburg"} | change, sender("buttons"), received_at=NOW)
    codec.encode(event)
    if change.get("site") == "Bernburg":  # a press's site is also found by its name
        assert reported(event).site == "bernburg"
    elif "description" not in change or "\ud800" not in change["description"]:
        warnings = reported(event).warnings
        assert warnings or change == {"kind": "panic"}
    assert all(len(w) <= 200 for w in reported(event).warnings)


def test_all_mistakes_come_at_once() -> None:
    with pytest.raises(Refusal) as refused:
        report({"danger_level": 9, "x": 1, "kind": "panic"}, sender("forms"), received_at=NOW)
    assert {fault.pointer for fault in refused.value.errors} == {"/danger_level", "/x", "/kind", "/site"}


def test_a_press_loses_only_what_does_not_fit() -> None:
    body = {"site": "nowhere", "danger_level": 3, "category": "thread", "location": "x" * 300, "more": 1}
    data = reported(report(body, sender("buttons"), received_at=NOW))
    assert (data.site, data.site_text, data.danger_level, data.category) == (None, "nowhere", 3, None)
    assert data.location == "x" * 200
    text = "\n".join(data.warnings)
    for name in ("nowhere", "category", "location", "more"):
        assert name in text


def test_what_is_sent_besides_does_not_crowd_out_what_matters() -> None:
    body: dict[str, Any] = {f"x{n}": n for n in range(100)} | {"site": "bernburg", "danger_level": 9}
    warnings = reported(report(body, sender("buttons"), received_at=NOW)).warnings
    assert "danger_level" in warnings[0]
    assert warnings[-1] == "and 81 more"


@pytest.mark.parametrize("spelling", ["bernburg", "BERNBURG", "Bernburg", "bernburg  (parkstraße)"])
def test_a_press_finds_its_site_by_name(spelling: str) -> None:
    data = reported(report({"site": spelling}, sender("buttons"), received_at=NOW))
    assert (data.site, data.warnings) == ("bernburg", ())


@pytest.mark.parametrize("name", ["buttons", "forms"])
def test_the_registers_place_counts(name: str) -> None:
    known = sender(name, devices={"btn-112": {"site": "bernburg", "location": "Zimmer 112"}})
    data = reported(report({"device_id": "BTN_112"}, known, received_at=NOW))
    assert (data.site, data.location, data.device_id, data.warnings) == ("bernburg", "Zimmer 112", "btn-112", ())
    moved = {"device_id": "btn-112", "site": "stassfurt", "location": "Keller"}
    data = reported(report(moved, known, received_at=NOW))
    assert (data.site, data.location) == ("bernburg", "Zimmer 112")
    assert len(data.warnings) == 2


def test_a_form_may_name_a_device_of_another_source_and_no_unknown_one() -> None:
    """The button that was pressed: so the form finds its alarm."""
    data = reported(report({"device_id": "BTN_112", "site": "bernburg"}, sender("forms"), received_at=NOW))
    assert (data.site, data.device_id, data.warnings) == ("bernburg", "BTN_112", ())
    for body in ({"device_id": "x-1", "site": "bernburg"}, {"device_id": "btn-112"}):
        with pytest.raises(Refusal) as refused:
            report(body, sender("forms"), received_at=NOW)
        assert [fault.pointer for fault in refused.value.errors] == ["/device_id"]


@pytest.mark.parametrize(("sent", "level"), [(3.0, 3), ("3", 3), (" 0 ", 0), (3.5, None), ("hoch", None), ("4", None)])
def test_the_level_of_a_press_counts_where_it_cannot_be_doubted(sent: object, level: int | None) -> None:
    data = reported(report({"site": "bernburg", "danger_level": sent}, sender("buttons"), received_at=NOW))
    assert data.danger_level == level
    assert "danger_level" in data.warnings[0]


def test_line_breaks_do_not_reach_what_becomes_a_header() -> None:
    body = {"site": "bernburg", "location": "Zimmer 1\r\nBcc: x@example.org", "reported_by": "A\nB", "reference": ""}
    data = reported(report(body, sender("forms"), received_at=NOW))
    assert (data.location, data.reported_by, data.reference) == ("Zimmer 1 Bcc: x@example.org", "A B", None)


def test_the_header_is_an_id() -> None:
    same = [
        report({"site": "bernburg", "id": "k"}, sender("forms"), received_at=NOW),
        report({"site": "bernburg"}, sender("forms"), received_at=NOW, idempotency_key="k"),
        report({"site": "bernburg", "id": "k"}, sender("forms"), received_at=NOW, idempotency_key="k"),
        report({"site": "bernburg", "id": "k"}, sender("buttons"), received_at=NOW, idempotency_key="other"),
    ]
    assert len({event.id for event in same[:3]}) == 1
    assert same[3].id == event_id("buttons", "k")
    assert reported(same[3]).warnings
    with pytest.raises(Refusal) as refused:
        report({"site": "bernburg", "id": "k"}, sender("forms"), received_at=NOW, idempotency_key="other")
    assert refused.value.errors[0].pointer == "/id"


def test_without_an_id_each_report_is_its_own() -> None:
    first, second = (report({"site": "bernburg"}, sender("buttons"), received_at=NOW) for _ in range(2))
    assert first.id != second.id


def test_a_press_long_ago_is_a_wrong_clock_and_a_form_is_not() -> None:
    body = {"site": "bernburg", "occurred_at": "2019-01-05T09:12:33+01:00"}
    assert reported(report(body, sender("forms"), received_at=NOW)).occurred_at is not None
    press = reported(report(body, sender("buttons"), received_at=NOW))
    assert press.occurred_at is None
    assert "too long ago" in press.warnings[0]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(st.characters()), children, max_size=4),
    max_leaves=12,
)
FIELDS = st.dictionaries(st.sampled_from(sorted(EXPECTED)) | st.text(st.characters()), JSON, max_size=25)
BUTTONS = sender("buttons")
FORMS = sender("forms")


@settings(max_examples=300, deadline=None)
@given(FIELDS)
def test_no_press_is_refused_for_its_content(body: dict[str, Any]) -> None:
    event = report(body, BUTTONS, received_at=NOW)
    record = codec.encode(event)
    again = codec.decode(record.headers, record.value, arrived_at=NOW)
    assert isinstance(again, Event)
    assert again.data == event.data


@settings(max_examples=300, deadline=None)
@given(FIELDS)
def test_a_form_is_taken_or_told_why_not(body: dict[str, Any]) -> None:
    refused = None
    try:
        codec.encode(report(body, FORMS, received_at=NOW))
    except Refusal as refusal:
        refused = refusal
    assert refused is None or (refused.status == 422 and refused.errors)
