"""Whatever an authenticated sender posts: no exception, and nothing that a panic device said disappears."""

import json
from collections.abc import Mapping
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.events import Event, Heartbeat, Reported
from services.ingest.api.problems import Refusal
from services.ingest.sources.chirpstack import FROM_DEVICE, FROM_NETWORK
from services.ingest.sources.shape import Ignored
from services.ingest.sources.ttn import NO_UPLINK
from tests.ingest.networks import NETWORKS, lorawan, posted
from tests.support.organisation import WS101

REASONS = {*NO_UPLINK, "join_accept", "simulated", *FROM_DEVICE, *FROM_NETWORK, "not decoded", "empty frame"}
MODELS = st.sampled_from(
    [None, "milesight-ws101", "milesight-ws156", "browan-tbpb100", "dragino-pb01", "abeeway-2", "abeeway-3", "generic"]
)
PATTERNS = {
    "press": {"short": "hex:(0[12])+", "any": ["length(alarm) > `0`", "sum(values) > `1`", "to_number(a.b)"]},
    "not_press": ["contains(kind, 'x')", "hex:00.*", "max_by(list, &at).alive"],
    "battery": {"value": "avg(values)", "from": 1, "to": 2},
}
WORDS: Final = [
    "end_device_ids", "dev_eui", "device_id", "uplink_message", "uplink_normalized", "decoded_payload",
    "frm_payload", "f_port", "f_cnt", "session_key_id", "received_at", "simulated", "rx_metadata",
    "last_battery_percentage", "value", "join_accept", "deviceInfo", "devEui", "devEUI", "deduplicationId",
    "publishedAt", "object", "objectJSON", "data", "fPort", "fCnt", "time", "margin", "batteryLevel", "level",
    "location", "button", "press", "status", "battery", "alarm", "values", "kind", "list", "a", "b", "at",
    "header", "sos", "notification", "notificationType", "eventType",
]  # fmt: skip
KEYS = st.sampled_from(WORDS) | st.text(max_size=4)
LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=12)
    | st.sampled_from([WS101, "AASjCwAcBTA=", "/y4B", "AXUQ/y4C", "2026-01-05T08:12:32Z", "short", "\ud800", "\0"])
    | st.binary(max_size=16).map(lambda raw: raw.hex())
)  # fmt: skip
JSON = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5))
OBJECTS = st.dictionaries(KEYS, JSON, max_size=8)
EVENTS = st.sampled_from(["", "up", "UP", "x\0", *FROM_DEVICE, *FROM_NETWORK])


@pytest.mark.parametrize("network", NETWORKS)
@given(body=OBJECTS, model=MODELS, event=EVENTS)
def test_any_object_is_an_event_or_a_named_reason(
    network: str, body: Mapping[str, Any], model: str, event: str
) -> None:
    type_, emitter, _ = NETWORKS[network]
    source = lorawan(type_, model, of_device=PATTERNS if model == "generic" else None)
    made = posted(emitter, body, source, event=event)
    assert made
    for one in made:
        if isinstance(one, Ignored):
            assert one.reason in REASONS
        else:
            assert isinstance(one.data, Reported | Heartbeat)
            Event.model_validate_json(one.model_dump_json())  # as it goes through Kafka
    assert len({one.id for one in made if isinstance(one, Event)}) == len(made) or made == [made[0]]


@pytest.mark.parametrize("network", NETWORKS)
@given(decoded=OBJECTS | st.none(), payload=st.binary(max_size=40), port=st.integers(0, 255), model=MODELS)
def test_whatever_a_known_device_says_is_a_press_or_a_sign_of_life(
    network: str, decoded: Mapping[str, Any], payload: bytes, port: int, model: str
) -> None:
    type_, emitter, wrap = NETWORKS[network]
    source = lorawan(type_, model, of_device=PATTERNS if model == "generic" else None)
    made = posted(emitter, wrap(decoded, payload.hex(), port), source)
    first = made[0]
    assert isinstance(first, Event)
    assert isinstance(first.data, Reported | Heartbeat)
    assert (first.data.site, first.data.device_id) == ("bernburg", WS101)
    assert all(isinstance(beside, Event) and isinstance(beside.data, Heartbeat) for beside in made[1:])


@pytest.mark.parametrize("network", NETWORKS)
@given(raw=st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_events_or_a_refusal_that_says_why(network: str, raw: bytes) -> None:
    type_, emitter, _ = NETWORKS[network]
    try:
        answer = 202 if posted(emitter, raw, lorawan(type_)) else 500
    except Refusal as refusal:
        answer = refusal.status
    assert answer in (202, 400, 415, 422)
