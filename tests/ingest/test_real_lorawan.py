"""Messages as the network servers' and the decoders' own projects publish them."""

import base64
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from schemas.events import Event, Heartbeat
from services.ingest.sources import chirpstack, ttn
from services.ingest.sources.shape import Ignored
from tests.ingest.networks import NETWORKS, PLACE, lorawan, posted
from tests.ingest.support import reported
from tests.support.organisation import WS101

pytestmark = pytest.mark.skipif("RUFKETTE_PAYLOADS" not in os.environ, reason="RUFKETTE_PAYLOADS names no folder")

FOLDER = Path(os.environ.get("RUFKETTE_PAYLOADS", ""))
EXAMPLES = {
    "abeeway_asset-tracker-2.sos-subset.json": "abeeway-2",
    "milesight-iot__ws101-codec.yaml": "milesight-ws101",
    "milesight_ws101.examples.json": "milesight-ws101",
    "netvox__r312a-codec.yaml": "netvox-r312a",
}
Vector = tuple[str, bytes, int, dict[str, Any]]


def read(name: str) -> Any:
    return json.loads((FOLDER / name).read_text())


def vectors(file: str) -> Iterator[Vector]:
    """What a device sent, on which port, and what its public decoder makes of it."""
    content = yaml.safe_load((FOLDER / "button-codecs" / file).read_text())
    if isinstance(content, dict):
        for e in content["uplinkDecoder"]["examples"]:
            yield e["description"], bytes(e["input"]["bytes"]), e["input"]["fPort"], e["output"]["data"]
        return
    for e in content:
        if e["type"] == "uplink":
            yield e["description"], bytes.fromhex(e["input"]["bytes"]), e["input"]["fPort"], e["output"]["data"]


def is_press(data: dict[str, Any]) -> bool:
    pressed = data.get("eventType") == "SOS_MODE_START" or data.get("sosFlag") == 1 or data.get("Alarm") == 1
    return pressed or "press" in data or "button" in data


def test_there_is_a_model_for_every_file() -> None:
    assert {file.name for file in (FOLDER / "button-codecs").iterdir()} == set(EXAMPLES)


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("file", EXAMPLES)
def test_a_decoders_own_examples_in_every_envelope(file: str, network: str) -> None:
    type_, emitter, wrap = NETWORKS[network]
    source = lorawan(type_, EXAMPLES[file])
    for description, raw, port, decoded in vectors(file):
        for said in ((decoded, raw.hex()), (decoded, None), (None, raw.hex())):
            first = posted(emitter, wrap(*said, port), source)[0]
            assert isinstance(first, Event), description
            assert isinstance(first.data, Heartbeat) is not is_press(decoded), description
            assert not is_press(decoded) or reported(first).warnings == (), description


@pytest.mark.parametrize("file", EXAMPLES)
def test_a_decoders_own_examples_in_the_things_stacks_own_envelope(file: str) -> None:
    for description, raw, port, decoded in vectors(file):
        body = read("ttn-v3/uplink_message.json")
        body["uplink_message"] |= {
            "decoded_payload": decoded, "frm_payload": base64.b64encode(raw).decode(), "f_port": port,
        }  # fmt: skip
        first = posted(ttn.EMITTER, body, lorawan("ttn", EXAMPLES[file]))[0]
        assert isinstance(first, Event), description
        assert isinstance(first.data, Heartbeat) is not is_press(decoded), description


@pytest.mark.parametrize("file", EXAMPLES)
def test_a_decoders_own_examples_in_chirpstacks_own_envelope(file: str) -> None:
    source = lorawan("chirpstack", devices={"0101010101010101": {**PLACE, "model": EXAMPLES[file]}})
    for description, raw, port, decoded in vectors(file):
        data = base64.b64encode(raw).decode()
        body = read("chirpstack-v4/up.json") | {"object": decoded, "data": data, "fPort": port}
        first = posted(chirpstack.EMITTER, body, source, event="up")[0]
        assert isinstance(first, Event), description
        assert isinstance(first.data, Heartbeat) is not is_press(decoded), description


def test_the_networks_own_examples_as_they_are() -> None:
    """They come from sensors, so that a panic device that sends them is not understood."""
    uplink, join = read("ttn-v3/uplink_message.json"), read("ttn-v3/join_accept.json")
    (made,) = posted(ttn.EMITTER, uplink, lorawan("ttn"))
    assert any("not decoded" in warning for warning in reported(made).warnings)
    assert reported(made).device_id == WS101
    (made,) = posted(ttn.EMITTER, join, lorawan("ttn"))
    assert isinstance(made, Event)
    assert isinstance(made.data, Heartbeat)
    up, status = read("chirpstack-v4/up.json"), read("chirpstack-v4/status.json")
    (made,) = posted(chirpstack.EMITTER, up, lorawan("chirpstack"), event="up")
    assert any("not in the register" in warning for warning in reported(made).warnings)
    assert posted(chirpstack.EMITTER, status, lorawan("chirpstack"), event="status") == [Ignored("status")]
    known = lorawan("chirpstack", devices={"0101010101010101": PLACE})
    (made,) = posted(chirpstack.EMITTER, status, known, event="status")
    assert isinstance(made, Event)
    assert made.data == Heartbeat(device_id="0101010101010101", site="bernburg", battery=0.883)
