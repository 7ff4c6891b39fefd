"""Messages per second of each source's parser on one core: from the raw request to the events, without HTTP."""

import base64
import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from pydantic import TypeAdapter

from schemas.configuration_sources import Source
from services.ingest.sender import Sender, Sites
from services.ingest.sources.registry import EMITTERS
from services.ingest.sources.shape import Message

TARGET: Final = 5_000
"""Messages per second."""
_NOW: Final = datetime(2026, 1, 5, 8, 12, 34, tzinfo=UTC)
_MESSAGES: Final = 2_000
_ROUNDS: Final = 5
_EUI: Final = "A81758FFFE030001"
_KEY: Final = {"kind": "panic", "key_sha256": "0" * 64}
_SOURCE: Final[TypeAdapter[Any]] = TypeAdapter(Source)


@dataclass(frozen=True)
class Case:
    """One sender: its source in the configuration, and its message with a number."""

    name: str
    source: dict[str, Any]
    body: Callable[[int], dict[str, Any]]
    query: dict[str, str] = field(default_factory=dict)

    def messages(self) -> list[Message]:
        headers = {"content-type": "application/json"}
        return [
            Message(json.dumps(self.body(number)).encode(), _NOW, headers=headers, query=self.query)
            for number in range(_MESSAGES)
        ]


def _lorawan(type_: str, model: str | None) -> dict[str, Any]:
    patterns = {"press": ["event == 'sos'", "hex:017510ff2e01"]} if model == "generic" else {}
    devices = {_EUI: {"site": "bernburg", "location": "Zimmer 112", "model": model, **patterns}}
    return {"type": type_, **_KEY, "devices": devices}


def _gateways(count: int) -> list[dict[str, Any]]:
    return [
        {"gateway_ids": {"gateway_id": f"dach-{n}"}, "rssi": -71, "snr": 8.2, "uplink_token": "x" * 60}
        for n in range(count)
    ]


def _uplink(payload: str) -> Callable[[int], dict[str, Any]]:
    raw = base64.b64encode(bytes.fromhex(payload)).decode()
    return lambda number: {
        "end_device_ids": {"device_id": "knopf-112", "dev_eui": _EUI, "application_ids": {"application_id": "rufe"}},
        "correlation_ids": ["as:up:01HK0000000000000000000000"],
        "received_at": "2026-01-05T08:12:33.123456789Z",
        "uplink_message": {
            "session_key_id": "AYx5n0k1Qm2s8Jw0a1b2cw==", "f_port": 85, "f_cnt": number, "frm_payload": raw,
            "rx_metadata": _gateways(3), "received_at": "2026-01-05T08:12:32.914000000Z",
        },
    }  # fmt: skip


def _chirpstack(number: int) -> dict[str, Any]:
    return {
        "deduplicationId": f"0d9e6c2a-1f4b-4c57-8a3e-{number:012d}", "time": "2026-01-05T08:12:32.914+00:00",
        "deviceInfo": {"tenantName": "Landkreis", "deviceName": "knopf-112", "devEui": _EUI.lower(), "tags": {}},
        "fCnt": number, "fPort": 85, "data": "AXUQ/y4B",
        "object": {"battery": 16, "button_event": {"status": "short press"}},
        "rxInfo": _gateways(3),
    }  # fmt: skip


def _chirpstack_3(number: int) -> dict[str, Any]:
    return {
        "deviceName": "knopf-112", "devEUI": "qBdY//4DAAE=", "fCnt": number, "fPort": 85, "data": "AXUQ/y4B",
        "objectJSON": '{"battery": 16, "button": "short"}', "publishedAt": "2026-01-05T08:12:32.914Z",
        "rxInfo": _gateways(3),
    }  # fmt: skip


_MAP: Final = {"site": "standort", "location": "raum", "danger_level": {"field": "stufe", "values": {"Gewalt": 2}}}


def _form(number: int) -> dict[str, Any]:
    answers = {"standort": "bernburg", "raum": "Zimmer 112", "stufe": "Gewalt", "was": "Streit um einen Termin"}
    return answers | {"vorgang": str(number)}


def _tally(number: int) -> dict[str, Any]:
    fields = [{"key": f"q_{key}", "label": key, "type": "TEXT", "value": value} for key, value in _form(number).items()]
    return {"eventId": str(number), "eventType": "FORM_RESPONSE", "data": {"fields": fields}}


CASES: Final[Sequence[Case]] = (
    Case(
        "native", {"type": "native", **_KEY}, lambda n: {"id": f"btn-{n}", "site": "bernburg", "location": "Zimmer 112"}
    ),
    Case("ttn, WS101 raw", _lorawan("ttn", "milesight-ws101"), _uplink("017510ff2e01")),
    Case("ttn, WS156 raw", _lorawan("ttn", "milesight-ws156"), _uplink("01755cff34060303")),
    Case(
        "ttn, Abeeway 3 raw", _lorawan("ttn", "abeeway-3"), _uplink("105e0c248a00000119ff3ff20436458000a10000000a1765")
    ),
    Case("ttn, generic", _lorawan("ttn", "generic"), _uplink("017510ff2e01")),
    Case("ttn, no model", _lorawan("ttn", None), _uplink("017510ff2e01")),
    Case("chirpstack 4", _lorawan("chirpstack", "milesight-ws101"), _chirpstack, {"event": "up"}),
    Case("chirpstack 3", _lorawan("chirpstack", "milesight-ws101"), _chirpstack_3, {"event": "up"}),
    Case("form, JSON", {"type": "form", **_KEY, "map": _MAP}, _form),
    Case(
        "form, Tally",
        {"type": "form", "kind": "panic", "preset": "tally", "secret_file": "none", "map": _MAP},
        _tally,
    ),
    Case(
        "standard-webhooks",
        {
            "type": "standard-webhooks",
            "kind": "panic",
            "secret_file": "none",
            "only": "event == 'done'",
            "fields": "data",
        }
        | {"map": _MAP},
        lambda n: {"event": "done", "data": _form(n)},
    ),
)
"""To measure another source, add a line."""


def _seconds(case: Case) -> float:
    source = _SOURCE.validate_python(case.source)
    sender, emitter = Sender("source", source, Sites({})), EMITTERS[source.type]
    messages = case.messages()
    assert emitter.parse(messages[0], sender), case.name
    rounds = []
    for _ in range(_ROUNDS):
        started = time.perf_counter()
        for message in messages:
            emitter.parse(message, sender)
        rounds.append(time.perf_counter() - started)
    return statistics.median(rounds)


def run() -> dict[str, Any]:
    """Measure, print, and return the figures."""
    figures: dict[str, Any] = {"target": TARGET, "per_second": {}}
    for case in CASES:
        speed = round(_MESSAGES / _seconds(case))
        figures["per_second"][case.name] = speed
        print(f"{case.name:<24} {speed:8,} messages/s   {'reached' if speed >= TARGET else 'MISSED'}", flush=True)
    print(f"target: {TARGET:,} messages/s each, on one core")
    return figures
