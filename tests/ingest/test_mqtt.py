"""What messages of an MQTT broker mean, by preset and by patterns."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from schemas.configuration import Configuration
from schemas.events import Event, Heartbeat, PoliceWish
from schemas.mqtt_topics import matches
from services.ingest.sender import Sender, senders
from services.ingest.sources.mqtt import EMITTER
from services.ingest.sources.shape import Ignored, Made, Message
from tests.ingest.support import NOW, reported
from tests.support.organisation import organisation

TOPICS: list[dict[str, Any]] = [
    {"filter": "zigbee2mqtt/+/availability", "preset": "zigbee2mqtt"},
    {"filter": "zigbee2mqtt/+", "preset": "zigbee2mqtt"},
    {"filter": "stat/+/#", "preset": "tasmota"},
    {"filter": "+/stat/RESULT", "preset": "tasmota"},
    {"filter": "tele/+/#", "preset": "tasmota"},
    {"filter": "+/events/rpc", "preset": "shelly-gen2"},
    {"filter": "+/online", "preset": "shelly-gen2"},
    {
        "filter": "alarm/door",
        "device": "btn-7",
        "press": {"long": "payload == 'PANIC'"},
        "not_press": "payload == 'OK'",
        "battery": "volt",
    },
]


def broker(kind: str = "panic", **changes: Any) -> Sender:
    content = organisation()
    content["sources"]["mqtt"] = {
        "type": "mqtt",
        "kind": kind,
        "url": "mqtts://rufkette@broker.example.org",
        "topics": TOPICS,
        "devices": {"btn-7": {"site": "bernburg", "location": "Zimmer 112"}},
        "presses": {"long": {"danger_level": 3, "police": "wanted"}},
    } | changes
    return senders(Configuration.model_validate(content))["mqtt"]


def said(topic: str, payload: object, sender: Sender | None = None) -> list[Made]:
    raw = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    return list(EMITTER.parse(Message(raw, NOW, method="MQTT", rest=topic), sender or broker()))


def shelly(*events: str, component: str = "input:0") -> dict[str, Any]:
    listed = [{"component": component, "id": 0, "event": event} for event in events]
    return {"src": "btn-7", "method": "NotifyEvent", "params": {"ts": 1.5, "events": listed}}


@pytest.mark.parametrize(
    ("topic", "payload", "expected"),
    [
        ("zigbee2mqtt/btn-7", {"action": "single", "battery": 87}, "short"),
        ("zigbee2mqtt/btn-7", {"action": "hold"}, "long"),
        ("zigbee2mqtt/btn-7", {"action": "double"}, "double"),
        ("zigbee2mqtt/btn-7", {"action": "emergency"}, "any"),
        ("zigbee2mqtt/btn-7", {"action": "1_single"}, "short"),
        ("zigbee2mqtt/btn-7", {"action": "button_2_hold"}, "long"),
        ("zigbee2mqtt/btn-7", {"action": "off"}, "short"),
        ("zigbee2mqtt/btn-7", {"action": "release"}, "other"),
        ("zigbee2mqtt/btn-7", {"action": ""}, "other"),
        ("zigbee2mqtt/btn-7", {"action": None}, "other"),
        ("zigbee2mqtt/btn-7", {"battery": 12, "linkquality": 80}, "other"),
        ("zigbee2mqtt/btn-7", {"action": "dance"}, "not decoded"),
        ("zigbee2mqtt/btn-7/availability", {"state": "online"}, "other"),
        ("zigbee2mqtt/btn-7/availability", {"state": "offline"}, "ignored"),
        ("stat/btn-7/RESULT", {"Button1": {"Action": "SINGLE"}}, "short"),
        ("btn-7/stat/RESULT", {"Button2": {"Action": "HOLD"}}, "long"),
        ("tele/btn-7/SENSOR", {"Time": "2025-01-07T10:00:00", "Button1": {"Action": "DOUBLE"}}, "double"),
        ("stat/btn-7/BUTTON1", {"ACTION": "TRIPLE"}, "any"),
        ("stat/btn-7/RESULT", {"POWER": "ON"}, "other"),
        ("stat/btn-7/RESULT", {"Button1": {"Action": "CLEAR"}}, "other"),
        ("stat/btn-7/RESULT", {"Button1": {"Action": "CLEAR"}, "Button2": {"Action": "SINGLE"}}, "short"),
        ("tele/btn-7/LWT", b"Online", "other"),
        ("tele/btn-7/LWT", b"Offline", "ignored"),
        ("btn-7/events/rpc", shelly("single_push"), "short"),
        ("btn-7/events/rpc", shelly("btn_down", "btn_up", "long_push"), "long"),
        ("btn-7/events/rpc", shelly("btn_down"), "other"),
        ("btn-7/events/rpc", shelly("single_push", component="script:1"), "other"),
        ("btn-7/events/rpc", {"method": "NotifyStatus", "params": {"devicepower:0": {}}}, "other"),
        ("btn-7/online", b"false", "ignored"),
        ("alarm/door", b"PANIC", "long"),
        ("alarm/door", b"OK", "other"),
        ("alarm/door", {"volt": 55}, "not decoded"),
        ("elsewhere", b"PANIC", "ignored"),
    ],
)  # fmt: skip
def test_a_message_is_a_press_or_it_is_not(topic: str, payload: object, expected: str) -> None:
    principal = said(topic, payload)[0]
    if expected == "ignored":
        assert isinstance(principal, Ignored)
        return
    assert isinstance(principal, Event)
    if expected == "other":
        assert isinstance(principal.data, Heartbeat)
        assert (principal.data.device_id, principal.data.site) == ("btn-7", "bernburg")
        return
    report = reported(principal)
    assert (report.site, report.location, report.device_id) == ("bernburg", "Zimmer 112", "btn-7")
    assert report.danger_level == (3 if expected == "long" else None)
    assert report.police == (PoliceWish.WANTED if expected == "long" else PoliceWish.NONE)
    assert any("not decoded" in warning for warning in report.warnings) is (expected == "not decoded")


def test_a_press_brings_its_battery_along() -> None:
    press, battery = said("zigbee2mqtt/btn-7", {"action": "single", "battery": 87})
    assert reported(press).device_id == "btn-7"
    assert isinstance(battery, Event)
    assert isinstance(battery.data, Heartbeat)
    assert battery.data.battery == 0.87


def test_an_unknown_device_alarms_all_the_same() -> None:
    report = reported(said("zigbee2mqtt/somewhere", {"action": "single"})[0])
    assert (report.site, report.device_id, len(report.warnings)) == (None, "somewhere", 1)


@pytest.mark.parametrize("payload", [{"battery": 3, "linkquality": 80}, {"action": "brightness_move_up"}])
def test_lamps_and_dimmers_of_the_same_broker_are_no_alarm(payload: object) -> None:
    assert said("zigbee2mqtt/lamp", payload) == [Ignored("unknown device")]


@pytest.mark.parametrize(
    ("topic_filter", "topic", "found"),
    [
        ("a/+/c", "a/b/c", "b"), ("a/+/c", "a/b", None), ("a/+/c", "a/b/c/d", None), ("a/#", "a/b/c", "b/c"),
        ("+/#", "a/b", "a"), ("a/b", "a/b", "a/b"), ("a/b", "a/c", None), ("#", "a/b", "a/b"), ("a/+/#", "a/b", "b"),
    ],
)  # fmt: skip
def test_topic_filters(topic_filter: str, topic: str, found: str | None) -> None:
    assert matches(topic_filter, topic) == found


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({"url": "http://broker"}, "no address of a broker"),
        ({"url": "mqtt://user:pass@broker"}, "holds a password"),
        ({"url": "mqtt://broker/topic"}, "goes on after"),
        ({"url": "mqtt://broker:99999"}, "no address of a broker"),
        ({"topics": []}, "at least 1"),
        ({"topics": [{"filter": "a/b+", "preset": "tasmota"}]}, "no topic filter"),
        ({"topics": [{"filter": "a/#/b", "preset": "tasmota"}]}, "no topic filter"),
        ({"topics": [{"filter": "a"}]}, "exactly one of preset and press"),
        ({"topics": [{"filter": "a", "preset": "tasmota", "battery": "x"}]}, "leave not_press and battery out"),
    ],
)
def test_what_is_wrong_with_a_configuration(changes: dict[str, Any], wrong: str) -> None:
    with pytest.raises(ValidationError, match=wrong) as caught:
        broker(**changes)
    assert "user:pass" not in str(caught.value.errors(include_input=False))


@given(
    st.binary(max_size=300), st.sampled_from(["zigbee2mqtt/btn-7", "stat/btn-7/X", "btn-7/events/rpc", "alarm/door"])
)
def test_no_message_is_lost_without_a_word(payload: bytes, topic: str) -> None:
    assert said(topic, payload)


NAMES = st.sampled_from(["action", "battery", "method", "params", "events", "Button1", "Action"])
JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner),
    max_leaves=10,
)


@given(JSON, st.sampled_from(["zigbee2mqtt/btn-7", "stat/btn-7/X", "btn-7/events/rpc", "alarm/door"]))
def test_no_object_breaks_anything(payload: object, topic: str) -> None:
    assert said(topic, payload)
