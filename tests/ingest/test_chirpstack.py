import base64
import json
from typing import Any

import pytest
import yaml

from schemas.events import Event, Heartbeat, Kind
from services.ingest.api.problems import Refusal
from services.ingest.sources.chirpstack import EMITTER, FROM_DEVICE, FROM_NETWORK
from services.ingest.sources.shape import Ignored, Made, Message
from tests.ingest.networks import chirpstack_3, chirpstack_4, posted
from tests.ingest.networks import lorawan as of_network
from tests.ingest.support import NOW, PAYLOADS, reported
from tests.support.organisation import WS101

EVENTS: list[dict[str, Any]] = yaml.safe_load((PAYLOADS / "chirpstack_events.yaml").read_text())
PRESS = {"button": "short"}


def lorawan(**changes: Any) -> Any:
    return of_network("chirpstack", **changes)


def parse(body: object, source: Any = None, event: str = "up") -> Made:
    """The only thing that the body says."""
    (made,) = posted(EMITTER, body, source or lorawan(), event=event)
    return made


def event_of(body: object, event: str = "up") -> Event:
    made = parse(body, event=event)
    assert isinstance(made, Event)
    return made


@pytest.mark.parametrize("lost", [False, True], ids=["named", "query lost"])
@pytest.mark.parametrize("one", EVENTS, ids=lambda e: e["name"])
def test_other_events_are_no_alarm(one: dict[str, Any], lost: bool) -> None:
    made = parse(one["body"], event="" if lost else one["event"])
    if one["expect"] != "alive":
        assert made == Ignored(one["expect"])
        return
    assert isinstance(made, Event)
    assert made.data == Heartbeat(device_id=WS101, site="bernburg", battery=one.get("battery"))


def test_every_event_is_in_the_table() -> None:
    assert {one["event"] for one in EVENTS} == {*FROM_DEVICE, *FROM_NETWORK}


def test_a_status_is_one_sign_of_life_however_often_it_comes() -> None:
    status = EVENTS[0]
    assert event_of(status["body"], "status").id == event_of(status["body"], "status").id
    assert (
        event_of(status["body"] | {"deduplicationId": "another"}, "status").id != event_of(status["body"], "status").id
    )


@pytest.mark.parametrize("event", ["", "up", "UP", "something new"])
def test_an_event_that_nobody_knows_is_taken_for_a_message_of_the_device(event: str) -> None:
    assert reported(parse(chirpstack_4(PRESS), event=event)).danger_level == 1
    assert any("not decoded" in warning for warning in reported(parse({"deviceInfo": {}}, event=event)).warnings)


def test_the_same_uplink_has_the_same_id_and_another_one_has_not() -> None:
    body = chirpstack_4(PRESS)
    two_gateways = body | {"rxInfo": [*body["rxInfo"], {"gatewayId": "7276ff0039030a12"}]}
    assert event_of(body).id == event_of(two_gateways).id
    # The counter started again: the same number is another press.
    assert event_of(body | {"deduplicationId": "another"}).id != event_of(body).id
    del body["deduplicationId"]
    assert event_of(body).id != event_of(body).id


def test_version_3_is_identified_by_the_time_of_publication_never_by_the_counter_alone() -> None:
    body = chirpstack_3(PRESS)
    assert event_of(body).id == event_of(body | {"rxInfo": []}).id
    assert event_of(body | {"publishedAt": "2026-01-06T08:12:32.914Z"}).id != event_of(body).id
    del body["publishedAt"]
    assert event_of(body).id != event_of(body).id


def test_the_time_is_the_networks() -> None:
    for body in (chirpstack_4(PRESS), chirpstack_3(PRESS)):
        report = reported(parse(body))
        assert report.occurred_at is not None
        assert report.occurred_at.isoformat() == "2026-01-05T08:12:32.914000+00:00"
        assert report.warnings == ()


def test_the_place_comes_from_the_register_never_from_tags() -> None:
    for body in (chirpstack_4(PRESS), chirpstack_3(PRESS)):
        assert (reported(parse(body)).site, reported(parse(body)).location) == ("bernburg", "Zimmer 112")


def test_an_empty_frame_is_upkeep_of_the_network() -> None:
    body = chirpstack_4()
    del body["fPort"]
    assert isinstance(event_of(body).data, Heartbeat)


@pytest.mark.parametrize("text", ["", "no JSON", "[1]", "5", "NaN", '{"button":"short"', "\ud800"])
def test_a_decoded_object_that_cannot_be_read_leaves_the_payload(text: str) -> None:
    body = chirpstack_3(payload="ff2e02") | {"objectJSON": text}
    assert reported(parse(body)).danger_level == 3
    assert reported(parse(body | {"data": ""})).warnings != ()


@pytest.mark.parametrize("eui", ["0004a30b001c0530", "00-04-A3-0B-00-1C-05-30", "AASjCwAcBTA="])
def test_a_device_of_version_3_is_found_in_each_of_its_spellings(eui: str) -> None:
    report = reported(parse(chirpstack_3(PRESS) | {"devEUI": eui}))
    assert (report.site, report.device_id) == ("bernburg", WS101)


@pytest.mark.parametrize("eui", ["//8AAAAAAAE=", "ffff000000000001", "AAA=", "%%%", 5, None, [], {}])
def test_an_unknown_device_raises_an_alarm_without_a_place(eui: object) -> None:
    three = reported(parse(chirpstack_3(PRESS) | {"devEUI": eui, "deviceName": "x"}))
    four = reported(parse(chirpstack_4(PRESS) | {"deviceInfo": {"devEui": eui}}))
    assert (three.site, four.site, three.location) == (None, None, None)
    assert any("place is unknown" in warning for warning in three.warnings)
    assert any("place is unknown" in warning for warning in four.warnings)


def test_an_id_in_base64_is_shown_as_people_know_it() -> None:
    assert reported(parse(chirpstack_3(PRESS) | {"devEUI": "//8AAAAAAAE="})).device_id == "ffff000000000001"


@pytest.mark.parametrize("body", [{}, {"deviceInfo": 5}, {"deviceInfo": {"devEui": {}}}, {"object": [1], "data": 5}])
def test_what_is_no_envelope_still_raises_an_alarm(body: dict[str, Any]) -> None:
    report = reported(parse(body))
    assert report.kind is Kind.PANIC
    assert "deviceInfo.devEui is missing, so the place is unknown" in report.warnings


def test_a_source_that_is_not_for_panic_is_told() -> None:
    form = lorawan(kind="form")
    with pytest.raises(Refusal) as refused:
        parse(chirpstack_4(PRESS) | {"deviceInfo": {"devEui": "ffff000000000001"}}, form)
    assert refused.value.errors[0].pointer == "/deviceInfo/devEui"
    assert parse(chirpstack_4(payload="c0ffee"), form) == Ignored("not decoded")


def test_protobuf_is_refused_with_what_to_change() -> None:
    message = Message(
        body=b"\n\x24" + base64.b64decode("AASjCwAcBTA="),
        received_at=NOW,
        headers={"content-type": "application/octet-stream"},
        query={"event": "up"},
    )
    with pytest.raises(Refusal) as refused:
        EMITTER.parse(message, lorawan())
    assert refused.value.status == 415
    assert "Choose JSON" in refused.value.detail


def test_json_under_another_name_is_taken() -> None:
    message = Message(
        body=json.dumps(chirpstack_4(PRESS)).encode(),
        received_at=NOW,
        headers={"content-type": "application/octet-stream"},
    )
    assert reported(EMITTER.parse(message, lorawan())[0]).site == "bernburg"
