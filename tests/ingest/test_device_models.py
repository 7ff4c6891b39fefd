"""Every known device model, through every network server: adding a model is lines in a table, and lines of messages."""

from typing import Any

import pytest
import yaml

from schemas.events import Event, Heartbeat, PoliceWish
from services.common.device_models import GENERIC, names
from tests.ingest.networks import NETWORKS, PRESSES, lorawan, posted
from tests.ingest.support import PAYLOADS, reported
from tests.support.organisation import WS101

MESSAGES: list[dict[str, Any]] = yaml.safe_load((PAYLOADS / "lorawan_devices.yaml").read_text())
NOT_DECODED = "not decoded: what the device sent is not known to be a press, nor to be anything else"


def made_of(network: str, message: dict[str, Any]) -> list[Any]:
    type_, emitter, wrap = NETWORKS[network]
    of_device = message.get("patterns", {}) | {key: message[key] for key in ("buttons",) if key in message}
    source = lorawan(type_, message.get("model"), of_device=of_device)
    return posted(emitter, wrap(message.get("decoded"), message.get("payload"), message.get("port", 85)), source)


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("message", MESSAGES, ids=lambda m: m["name"])
def test_a_message_is_a_press_or_it_is_not(message: dict[str, Any], network: str) -> None:
    first, *others = made_of(network, message)
    assert isinstance(first, Event)
    expected = message["expect"]
    if expected == "other":
        assert isinstance(first.data, Heartbeat)
        assert (first.data.device_id, first.data.site) == (WS101, "bernburg")
        assert first.data.battery == message.get("battery", first.data.battery)
        assert others == []
        return
    report = reported(first)
    means = PRESSES.get(expected, {})
    assert report.danger_level == means.get("danger_level")
    assert report.category == means.get("category")
    assert report.police == means.get("police", PoliceWish.NONE)
    assert (report.site, report.location, report.device_id) == ("bernburg", "Zimmer 112", WS101)
    assert report.warnings == ((NOT_DECODED,) if expected == "not decoded" else ())
    for beside in others:
        assert isinstance(beside.data, Heartbeat)
        assert beside.data.battery == message.get("battery", beside.data.battery)
    assert len(others) == 1 or (others == [] and "battery" not in message)


def test_every_model_has_presses_and_other_messages_decoded_and_raw() -> None:
    for model in names() - {GENERIC}:
        of_model = [message for message in MESSAGES if message.get("model") == model]
        assert {m["expect"] in ("short", "long", "double", "any") for m in of_model if "payload" in m} == {True, False}
        assert {m["expect"] in ("short", "long", "double", "any") for m in of_model if "decoded" in m} == {True, False}
        assert any("battery" in message for message in of_model)


@pytest.mark.parametrize("network", NETWORKS)
def test_a_press_brings_its_battery_as_a_second_event_with_an_id_of_its_own(network: str) -> None:
    message = {"model": "milesight-ws101", "decoded": {"battery": 16, "press": "short"}}
    first, again = made_of(network, message), made_of(network, message)
    press, battery = first
    assert isinstance(battery.data, Heartbeat)
    assert (battery.data.battery, battery.data.device_id, battery.data.site) == (0.16, WS101, "bernburg")
    assert battery.id != press.id
    if network != "ChirpStack 3, oldest":  # which says nothing that is unique
        assert [event.id for event in again] == [event.id for event in first]


def test_the_patterns_of_the_source_count_for_a_device_that_has_none() -> None:
    _, emitter, wrap = NETWORKS["ChirpStack 4"]
    shared = {"press": "alarm", "not_press": "alive", "battery": "bat"}
    source = lorawan("chirpstack", "generic", of_device={"press": "help"}, generic=shared)
    made = [posted(emitter, wrap(said), source)[0] for said in ({"help": 1}, {"alarm": 1}, {"alive": 1, "bat": 5})]
    assert reported(made[0]).warnings == ()
    assert reported(made[1]).warnings == (NOT_DECODED,)
    assert isinstance(made[2], Event)
    assert isinstance(made[2].data, Heartbeat)
    assert made[2].data.battery == 0.05
