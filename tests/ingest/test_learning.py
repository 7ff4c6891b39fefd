"""Sources in learning mode: which fields the log shows, and what is marked."""

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr
from structlog.testing import capture_logs

from schemas.events import Acknowledged, Closed, Event, Heartbeat, Mode, Outcome, Reported, event_id
from schemas.lifecycle import Change, Lifecycle
from schemas.urgency import urgency_of
from services.common.settings import IngestSettings
from services.ingest.activity import Activity
from services.ingest.api.problems import Refusal
from services.ingest.callbacks.answering import Callbacks
from services.ingest.callbacks.request import called
from services.ingest.fields import fields_of
from services.ingest.intake import Intake
from services.ingest.journal.entry import Entry
from services.ingest.journal.journal import Journal
from services.ingest.journal.ledger import Ledger
from services.ingest.kafka_writer import KafkaWriter
from services.ingest.learning import Learning, marked
from services.ingest.limits import Limits
from services.ingest.metrics import LEARNING_SOURCES
from services.ingest.publisher import Publisher
from services.ingest.sender import Sender
from services.ingest.sources.shape import Ignored, Message
from services.ingest.status import Status, Statuses
from tests.ingest.support import NOW, configuration, sender
from tests.ingest.test_mqtt import broker

LEARN: dict[str, Any] = {"learn": True, "test_address": "integrator@example.org"}
HTTP = {"url": "http://127.0.0.1:9/", "secret_file": "secret"}
SECRET = "Frau Geheim, geheim@example.org, 0171 2345678"


def message(body: bytes | object, content_type: str = "application/json", **changes: Any) -> Message:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"content-type": content_type} | changes.pop("headers", {})
    return Message(raw, NOW, headers=headers, **changes)


@pytest.mark.parametrize(
    ("body", "names"),
    [
        ({"site": "x", "level": 2}, ["site: string", "level: number"]),
        ({"acute": True, "none": None}, ["acute: boolean", "none: null"]),
        ({"data": {"answers": {"raum": "112"}}}, ["data.answers.raum: string"]),
        ({"answers": [{"q": "a"}, {"q": 3, "r": None}]}, ["answers[].q: string|number", "answers[].r: null"]),
        ({"a": {}, "b": [], "c": [[1]]}, ["a: object", "b: list", "c[][]: number"]),
        ({"größe": 1.5, "x-y": "", "_z9": ""}, ["größe: number", "x-y: string", "_z9: string"]),
        (["text"], ["[]: string"]),
        ("text", ["(body): string"]),
        ({}, ["(body): object"]),
    ],
)  # fmt: skip
def test_names_and_types_of_json(body: object, names: list[str]) -> None:
    found = fields_of(message(body))
    assert (found.content, found.names, found.unnamed, found.left_out) == ("json", names, 0, 0)


def test_names_of_forms() -> None:
    found = fields_of(message(b"standort=Bernburg&wann[]=1&Was+ist+passiert%3F=x", "application/x-www-form-urlencoded"))
    assert (found.content, found.names, found.unnamed) == ("urlencoded", ["standort: text", "wann: text"], 1)
    parts = (
        b'--x\r\nContent-Disposition: form-data; name="raum"\r\n\r\n112\r\n'
        b'--x\r\nContent-Disposition: form-data; name="foto"; filename="Frau Geheim.jpg"\r\n\r\nJFIF\r\n--x--\r\n'
    )
    found = fields_of(message(parts, "multipart/form-data; boundary=x"))
    assert (found.content, found.names) == ("multipart", ["raum: text", "foto: file"])


def test_parameters_and_headers_of_cloudevents() -> None:
    asked = fields_of(message(b"", query={"secret": SECRET, "press": "long", SECRET: ""}))
    assert (asked.content, asked.names, asked.unnamed) == ("empty", ["?secret: text", "?press: text"], 1)
    event = fields_of(message({"by": SECRET}, headers={"ce-type": "x", "ce-id": SECRET, "authorization": SECRET}))
    assert event.names == ["by: string", "ce-type: text", "ce-id: text"]


@pytest.mark.parametrize("body", [b"\xff\xfe", b"PANIC", b"{", b"[" * 100_000, b'{"a": NaN}'])
def test_what_cannot_be_read_is_said_to_be_other(body: bytes) -> None:
    found = fields_of(message(body))
    assert (found.content, found.names) == ("other", [])


@pytest.mark.parametrize(
    "key", [SECRET, "geheim@example.org", "Frau Geheim", "0171", "a" * 41, "", "a.b", "x\ny", "<b>"]
)
def test_a_name_that_may_be_a_value_is_counted_only(key: str) -> None:
    found = fields_of(message({key: {"inside": 1}, "ok": 1}))
    assert (found.names, found.unnamed) == (["ok: number"], 1)


def test_neither_endlessly_many_nor_endlessly_deep() -> None:
    many = fields_of(message({f"f{n}": n for n in range(500)}))
    assert (len(many.names), many.left_out) == (80, 420)
    deep: object = 1
    for _ in range(30):
        deep = {"d": deep}
    found = fields_of(message({"d": deep, "ok": 1}))
    assert (found.names, found.left_out) == (["ok: number"], 1)


_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.just(SECRET),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=5), children, max_size=3),
    max_leaves=6,
)


@given(body=st.dictionaries(st.text(max_size=5) | st.just(SECRET), _VALUES, max_size=4))
def test_no_value_is_ever_shown(body: dict[str, Any]) -> None:
    found = fields_of(message(body))
    assert "Geheim" not in "".join(found.names)
    assert "geheim@" not in "".join(found.names)
    assert len(found.names) <= 80


FORMS = ("multipart/form-data", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded")


@given(body=st.binary(max_size=300), content_type=st.sampled_from(["", "application/json", *FORMS]))
def test_it_never_raises(body: bytes, content_type: str) -> None:
    fields_of(message(body, content_type))


def made(data: Any, **envelope: Any) -> Event:
    return Event(**{"id": event_id("buttons", "1"), "source": "buttons", "time": NOW, "data": data} | envelope)


def test_reports_are_marked_and_have_ids_of_their_own() -> None:
    report = made(Reported(site="bernburg"))
    (one,) = marked([report], sender("buttons", **LEARN))
    assert isinstance(one, Event)
    assert isinstance(one.data, Reported)
    assert one.data.learning
    assert one.id == str(uuid5(NAMESPACE_URL, f"rufkette-learning:{report.id}")) != report.id
    assert one.data.model_copy(update={"learning": False}) == report.data


def test_what_could_change_an_incident_is_passed_over_and_signs_of_life_are_not() -> None:
    alive = made(Heartbeat(device_id="btn-112"))
    ended = made(Closed(by="A. Muster", outcome=Outcome.RESOLVED), subject="real")
    taken = made(Acknowledged(by="A. Muster"), subject="real")
    found = marked([alive, ended, taken, Ignored("status")], sender("buttons", **LEARN))
    assert found == [alive, Ignored("learning"), Ignored("learning"), Ignored("status")]


def test_other_sources_are_left_alone() -> None:
    everything = [made(Reported(site="bernburg")), made(Acknowledged(by="A. Muster"), subject="real")]
    assert marked(everything, sender("buttons")) == everything


def test_the_watch_does_not_wait_for_it_and_its_place_is_last() -> None:
    learnt, real = made(Reported(learning=True, danger_level=3)), made(Reported(danger_level=0, acute=False))
    assert not Entry.of(learnt).is_watched
    assert Entry.of(real).is_watched
    assert urgency_of(learnt) < urgency_of(real)
    assert urgency_of(learnt) == urgency_of(made(Reported(mode=Mode.EXERCISE)))


@pytest.fixture
def given_settings(tmp_path: Path) -> IngestSettings:
    return IngestSettings(
        config=Path("unused"), kafka_bootstrap_servers="127.0.0.1:9", journal_path=tmp_path / "journal",
        smtp_url=SecretStr("smtp://127.0.0.1:9"), mail_from="rufkette@example.org",
    )  # fmt: skip


@pytest.fixture
async def ledger(given_settings: IngestSettings) -> Any:
    ledger = Ledger(Journal(given_settings.journal_path))
    await ledger.start()
    yield ledger
    await ledger.stop()


@pytest.fixture
def intake(given_settings: IngestSettings, ledger: Ledger) -> Intake:
    """With a journal and no Kafka: what is accepted is queued."""
    statuses = Statuses(ledger)
    publisher = Publisher(KafkaWriter(given_settings), ledger, is_taken=statuses.is_taken, caught_up=lambda: False)
    return Intake(publisher, statuses, Activity(), Limits())


def shown(logs: list[Any]) -> list[Any]:
    return [line for line in logs if line["event"] == "fields.learned"]


async def test_the_log_shows_what_came_also_when_it_is_refused(intake: Intake) -> None:
    learning = sender("forms", **LEARN)
    with capture_logs() as logs, pytest.raises(Refusal) as refused:
        await intake.receive(message({"ort": SECRET, "stufe": 2}), learning)
    assert refused.value.status == 422
    (line,) = shown(logs)
    assert line == {
        "event": "fields.learned", "log_level": "info", "source": "forms", "content": "json",
        "fields": ["ort: string", "stufe: number"], "unnamed": 0, "left_out": 0,
    }  # fmt: skip
    assert "Geheim" not in repr(logs)


async def test_a_message_over_mqtt_goes_the_same_way(intake: Intake, ledger: Ledger) -> None:
    press = Message(
        b'{"action": "single", "linkquality": 9}', datetime.now(UTC), method="MQTT", rest="zigbee2mqtt/btn-7"
    )
    with capture_logs() as logs:
        answer = await intake.receive(press, broker(**LEARN))
    assert shown(logs)[0]["fields"] == ["action: string", "linkquality: number"]
    held = ledger.find(answer["event_id"])
    assert held is not None
    assert isinstance(held.event.data, Reported)
    assert held.event.data.learning


async def test_a_source_that_does_not_learn_shows_nothing(intake: Intake, ledger: Ledger) -> None:
    with capture_logs() as logs:
        answer = await intake.receive(message({"site": "bernburg", "learning": True}), sender("buttons"))
    assert shown(logs) == []
    held = ledger.find(answer["event_id"])
    assert held is not None
    assert isinstance(held.event.data, Reported)
    assert not held.event.data.learning, "a sender's body cannot hide its press"
    assert any("learning" in warning for warning in answer["warnings"])


def cloud(type_: str, data: object, **more: object) -> dict[str, object]:
    return {"specversion": "1.0", "id": type_, "source": "/bus", "type": type_, "data": data} | more


def bus(**changes: Any) -> Sender:
    return sender("forms", type="cloudevents", may=["reported", "acknowledged"], **changes)


async def test_a_batch_of_a_learning_bus(intake: Intake, ledger: Ledger) -> None:
    reported = cloud("rufkette.incident.reported.v1", {"site": "bernburg"})
    taken = cloud("rufkette.incident.acknowledged.v1", {"by": SECRET}, subject="a-real-one")
    batch = message([taken, reported], "application/cloudevents-batch+json")
    with capture_logs() as logs:
        answers = await intake.receive_events(batch, bus(**LEARN), 0.0)
    assert isinstance(answers, list)
    assert answers[0] == {"status": "ignored", "reason": "learning", "warnings": []}
    held = ledger.find(answers[1]["event_id"])
    assert held is not None
    assert isinstance(held.event.data, Reported)
    assert held.event.data.learning
    assert "[].data.by: string" in shown(logs)[0]["fields"]
    assert "Geheim" not in repr(shown(logs))


@pytest.mark.parametrize("learning", [LEARN, {}])
async def test_no_event_can_bring_the_mark_along(intake: Intake, learning: dict[str, Any]) -> None:
    forged = cloud("rufkette.incident.reported.v1", {"site": "bernburg", "learning": True})
    with pytest.raises(Refusal) as refused:
        await intake.receive_events(message(forged, "application/cloudevents+json"), bus(**learning), 0.0)
    assert refused.value.status == 422


def test_its_sender_hears_whether_the_mail_went_out(ledger: Ledger) -> None:
    statuses = Statuses(ledger)
    statuses.accept("e1", "new", 0.0)
    news = Lifecycle(incident_id="e1", event_ids=("e1",), source="new", revision=1, learning=True)
    for change in (Change.OPENED, Change.CLOSED):
        statuses.apply(change, news, 1.0)
    known = statuses.find("e1", "new")
    assert known is not None
    assert known.status is Status.ACCEPTED
    statuses.apply(Change.NOTIFIED, news.model_copy(update={"revision": 2, "notified": True}), 2.0)
    known = statuses.find("e1", "new")
    assert known is not None
    assert known.status is Status.ALERTED


@pytest.fixture
def gauge() -> Iterator[None]:
    yield
    LEARNING_SOURCES.set(0)


@pytest.mark.usefixtures("gauge")
async def test_it_is_said_again_and_again() -> None:
    known = {"new": sender("forms", **LEARN), "old": sender("buttons")}
    with capture_logs() as logs:
        learning = Learning(known, every=0.001)
        learning.start()
        while len(logs) < 3:
            await asyncio.sleep(0)
        await learning.stop()
    assert {(line["event"], line["log_level"], line["source"]) for line in logs} == {
        ("source.learning", "warning", "new")
    }
    assert LEARNING_SOURCES._value.get() == 1
    with capture_logs() as logs:
        learning.take(known)
        assert [line["source"] for line in logs] == ["new"]
        learning.take({"old": known["old"]})
    assert len(logs) == 1
    assert LEARNING_SOURCES._value.get() == 0


async def test_no_device_is_told_that_help_is_coming(tmp_path: Path, ledger: Ledger) -> None:
    answering = {"on": ["alerted"], "devices": ["btn-112"], "http": HTTP}
    (tmp_path / "secret").write_text("whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3")
    answered = called(configuration(buttons={"callback": answering}), tmp_path / "organisation.yaml")
    callbacks = Callbacks(tmp_path / "callbacks", Statuses(ledger), answered)
    callbacks.note(made(Reported(device_id="btn-112", learning=True), id="learnt"))
    callbacks.note(made(Reported(device_id="btn-112"), id="real"))
    assert set(callbacks._book.presses) == {"real"}
