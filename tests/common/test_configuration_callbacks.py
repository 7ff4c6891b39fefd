"""Answers to buttons in the configuration: what may be written, and what is said about the rest."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from services.common.configuration.file import ConfigurationError, examine
from tests.support.organisation import WS101, organisation

HTTP = {"url": "https://buttons.example.org/answer", "secret_file": "answer.secret"}
TTN = {
    "url": "https://eu1.example.org", "application": "jobcenter", "webhook": "rufkette", "key_file": "ttn.key",
    "f_port": 85, "payloads": {"acknowledged": "01"},
}  # fmt: skip
CHIRPSTACK = {"url": "https://lora.example.org", "token_file": "t", "f_port": 1, "payloads": {"acknowledged": "01"}}
LIGHT = {"topic": "zigbee2mqtt/{device}/set", "payload": '{"state": "ON"}'}
MQTT = {"url": "mqtts://rufkette@broker.example.org", "messages": {"acknowledged": LIGHT}}
BUTTON = {"on": ["acknowledged"], "devices": ["BTN_112"], "http": HTTP}
LORAWAN = {"on": ["acknowledged"], "models": ["milesight-ws101"], "ttn": TTN}


def examined(tmp_path: Path, source: str, callback: Any, **more: Any) -> tuple[list[str], list[str]]:
    content = organisation()
    content["sources"] |= more
    content["sources"][source]["callback"] = callback
    file = tmp_path / "organisation.yaml"
    file.write_text(yaml.safe_dump(content, sort_keys=False).replace("'on':", "on:"))
    try:
        _, hints = examine(file)
    except ConfigurationError as error:
        return [str(mistake) for mistake in error.mistakes], []
    return [], [str(hint) for hint in hints if "callback" in hint.path]


@pytest.mark.parametrize(("source", "callback"), [("buttons", BUTTON), ("lorawan", LORAWAN), ("lorawan", None)])
def test_as_it_is_documented(tmp_path: Path, source: str, callback: Any) -> None:
    assert examined(tmp_path, source, callback) == ([], [])


@pytest.mark.parametrize(
    ("source", "callback", "where", "wrong"),
    [
        ("buttons", BUTTON | {"ttn": TTN}, "callback", "has http and ttn"),
        ("buttons", {"on": ["closed"], "devices": ["btn-112"]}, "callback", "does not say how"),
        ("buttons", {"on": ["closed"], "http": HTTP}, "callback", "names no device"),
        ("buttons", BUTTON | {"on": []}, "callback.on", "is empty"),
        ("buttons", BUTTON | {"on": ["opened"]}, "callback.on", "`opened` is not known"),
        ("buttons", BUTTON | {"devices": ["btn-9"]}, "callback.devices[0]", "no device `btn-9`"),
        ("buttons", BUTTON | {"sms": {}}, "callback.sms", "unknown key"),
        ("buttons", BUTTON | {"http": HTTP | {"url": "ftp://x"}}, "callback.http.url", "no address"),
        ("buttons", BUTTON | {"http": HTTP | {"url": "https://u:p@x/"}}, "callback.http.url", "holds a user"),
        ("buttons", {**LORAWAN, "models": [], "devices": ["btn-112"]}, "callback.ttn", "source of type native"),
        ("lorawan", LORAWAN | {"models": ["milesight-ws9"]}, "callback.models[0]", "no device model"),
        ("lorawan", LORAWAN | {"on": ["acknowledged", "closed"]}, "callback", "no payload for closed"),
        (
            "lorawan",
            LORAWAN | {"ttn": TTN | {"payloads": {"acknowledged": "01", "closed": "00"}}},
            "callback",
            "closed",
        ),
        (
            "lorawan",
            LORAWAN | {"ttn": TTN | {"payloads": {"acknowledged": "0"}}},
            "callback.ttn.payloads",
            "no payload",
        ),
        ("lorawan", LORAWAN | {"ttn": TTN | {"f_port": 224}}, "callback.ttn.f_port", "no port of LoRaWAN"),
        ("lorawan", LORAWAN | {"ttn": TTN | {"application": "a/../b"}}, "callback.ttn.application", "no id"),
        ("lorawan", LORAWAN | {"ttn": TTN | {"url": "https://x/?a=b"}}, "callback.ttn.url", "holds a query"),
        ("lorawan", LORAWAN | {"ttn": TTN | {"ids": {"btn-112": "knopf"}}}, "callback.ttn.ids", "is no device"),
        ("lorawan", {**LORAWAN, "ttn": None, "chirpstack": CHIRPSTACK}, "callback.chirpstack", "of type ttn"),
    ],
)
def test_a_mistake_is_named_with_its_place(tmp_path: Path, source: str, callback: Any, where: str, wrong: str) -> None:
    mistakes, _ = examined(tmp_path, source, callback)
    assert any(f"sources.{source}.{where}" in mistake and wrong in mistake for mistake in mistakes), mistakes
    assert not any("u:p" in mistake for mistake in mistakes)


@pytest.mark.parametrize(
    ("source", "callback", "noticed"),
    [
        ("buttons", BUTTON | {"http": HTTP | {"url": "http://buttons.example.org/"}}, "not encrypted"),
        ("lorawan", LORAWAN | {"models": ["milesight-ws101", "netvox-r312"]}, "no device of this source"),
    ],
)
def test_what_may_not_be_meant(tmp_path: Path, source: str, callback: Any, noticed: str) -> None:
    mistakes, (hint,) = examined(tmp_path, source, callback)
    assert mistakes == []
    assert noticed in hint


def test_ids_of_the_things_stack_are_for_devices_that_are_told(tmp_path: Path) -> None:
    named = LORAWAN | {"ttn": TTN | {"ids": {WS101.lower(): "knopf-112"}}}
    assert examined(tmp_path, "lorawan", named) == ([], [])


def zigbee(topic_filter: str = "zigbee2mqtt/+", **changes: Any) -> dict[str, Any]:
    topics = [{"filter": topic_filter, "preset": "zigbee2mqtt"}]
    known = {"knopf-115": {"site": "bernburg", "location": "Zimmer 115"}}
    url = "mqtts://rufkette@broker.example.org:8883"
    return {"type": "mqtt", "kind": "panic", "url": url, "topics": topics, "devices": known} | changes


def over_mqtt(**changes: Any) -> dict[str, Any]:
    return {"on": ["acknowledged"], "devices": ["btn-112"], "mqtt": MQTT | changes}


def said(**changes: Any) -> dict[str, Any]:
    return over_mqtt(messages={"acknowledged": LIGHT | changes})


@pytest.mark.parametrize(
    ("source", "callback"),
    [
        ("buttons", over_mqtt()),
        ("buttons", over_mqtt(url=None, broker="zigbee")),
        ("buttons", over_mqtt(url="mqtt://127.0.0.1", ids={"BTN_112": "Lampe Zimmer 112 (Flur)"})),
        ("zigbee", over_mqtt(url=None) | {"devices": ["knopf-115"]}),
        ("zigbee", said(topic="shelly/rpc", payload='{"id": 1, "params": {"on": true}}') | {"devices": ["knopf-115"]}),
        ("buttons", said(topic="{site}/{device}", payload='{"room": "{device}", "at": "{at}", "of": "{site}"}')),
        ("lorawan", over_mqtt() | {"devices": [], "models": ["milesight-ws101"]}),
    ],
)  # fmt: skip
def test_over_mqtt_as_it_is_documented(tmp_path: Path, source: str, callback: Any) -> None:
    assert examined(tmp_path, source, callback, zigbee=zigbee()) == ([], [])


@pytest.mark.parametrize(
    ("callback", "where", "wrong"),
    [
        (over_mqtt(broker="zigbee"), "", "has broker and url"),
        (over_mqtt(url=None), "", "a source of type native has no broker"),
        (over_mqtt(url=None, broker="zigby"), ".broker", "no source `zigby` of type mqtt"),
        (over_mqtt(url=None, broker="lorawan"), ".broker", "no source `lorawan` of type mqtt"),
        (over_mqtt(url=None, broker="zigbee", password_file="p"), "", "password_file without a url"),
        (over_mqtt(url="mqtts://u:geheim@x"), ".url", "holds a password"),
        (over_mqtt(messages={}), "", "has no message for acknowledged"),
        (over_mqtt(messages={"acknowledged": LIGHT, "closed": LIGHT}), "", "has a message for closed"),
        (over_mqtt(ids={"btn-9": "lampe"}), ".ids.btn-9", "is no device that is told anything"),
        (over_mqtt(ids={"btn-112": "lampe/112"}), ".messages.acknowledged.topic", "holds +, # or /"),
        (over_mqtt(ids={"btn-112": "+"}), ".messages.acknowledged.topic", "holds +, # or /"),
        (over_mqtt(ids={"btn-112": "#"}), ".messages.acknowledged.topic", "holds +, # or /"),
        (over_mqtt(ids={"btn-112": "$SYS"}), ".messages.acknowledged.topic", "cannot stand in a topic"),
        (over_mqtt(ids={"btn-112": "a\x00"}), ".messages.acknowledged.topic", "cannot stand in a topic"),
        (said(topic="lamps/#"), ".messages.acknowledged.topic", "holds a wildcard"),
        (said(topic="lamps/+/set"), ".messages.acknowledged.topic", "holds a wildcard"),
        (said(topic="$SYS/broker"), ".messages.acknowledged.topic", "begins with $"),
        (said(topic=" "), ".messages.acknowledged.topic", "is no topic"),
        (said(topic="a/{devise}"), ".messages.acknowledged.topic", "{devise}, which stands for nothing"),
        (said(topic="a/{status}"), ".messages.acknowledged.topic", "{status}, which stands for nothing"),
        (said(topic="a/{ device }"), ".messages.acknowledged.topic", "{ device }, which stands for nothing"),
        (said(payload="{name}"), ".messages.acknowledged.payload", "{name}, which stands for nothing"),
        (said(payload=True), ".messages.acknowledged.payload", "expected it in quotes"),
        (said(payload=""), ".messages.acknowledged.payload", "1 to 2000 characters"),
        (said(topic="zigbee2mqtt/{device}"), ".messages.acknowledged.topic", "`zigbee` listens to"),
    ],
)  # fmt: skip
def test_a_mistake_over_mqtt_is_named_with_its_place(tmp_path: Path, callback: Any, where: str, wrong: str) -> None:
    mistakes, _ = examined(tmp_path, "buttons", callback, zigbee=zigbee())
    place = f"sources.buttons.callback{'.mqtt' if where else ''}{where}"
    assert any(place in mistake and wrong in mistake for mistake in mistakes), mistakes
    assert not any("geheim" in mistake for mistake in mistakes)


def test_an_id_cannot_change_the_message_that_it_stands_in(tmp_path: Path) -> None:
    named = said(payload='{"room": "{device}"}') | {"devices": ['a"b']}
    device = {'a"b': {"site": "bernburg", "location": "Zimmer 115"}}
    (mistake,) = examined(tmp_path, "zigbee", named, zigbee=zigbee(devices=device))[0]
    assert "messages.acknowledged.payload" in mistake
    assert "would change the message" in mistake


@pytest.mark.parametrize(
    ("callback", "noticed"),
    [
        (over_mqtt(url="mqtt://broker.example.org"), "not encrypted"),
        (said(payload='{"state": "TOGGLE"}'), "twice toggled"),
        (said(payload='{"state": ON}'), "begins like JSON"),
    ],
)
def test_what_may_not_be_meant_over_mqtt(tmp_path: Path, callback: Any, noticed: str) -> None:
    mistakes, (hint,) = examined(tmp_path, "buttons", callback)
    assert mistakes == []
    assert noticed in hint


def test_an_answer_that_another_broker_hears_is_no_loop(tmp_path: Path) -> None:
    answered = said(topic="zigbee2mqtt/{device}")
    assert examined(tmp_path, "buttons", answered, zigbee=zigbee(url="mqtts://other.example.org")) == ([], [])
    mistakes, _ = examined(tmp_path, "buttons", answered, zigbee=zigbee("#", url="mqtt://BROKER.example.org:8883"))
    assert any("listens to `#`" in mistake for mistake in mistakes)
    mistakes, (hint,) = examined(tmp_path, "buttons", answered, zigbee=zigbee(url="mqtt://broker.example.org:1883"))
    assert (mistakes, "listens to `zigbee2mqtt/+`" in hint) == ([], True)
