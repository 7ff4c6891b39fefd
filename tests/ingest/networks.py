"""The same message of a device as each LoRaWAN network server would post it."""

import base64
import json
from collections.abc import Callable, Mapping
from typing import Any, Final

from services.ingest.sender import Sender
from services.ingest.sources import chirpstack, ttn
from services.ingest.sources.shape import Emitter, Made, Message
from tests.ingest.support import NOW, PAYLOADS, sender
from tests.support.organisation import WS101

PRESSES: Final[dict[str, dict[str, Any]]] = {
    "short": {"danger_level": 1},
    "long": {"danger_level": 3, "police": "wanted"},
    "double": {"category": "threat"},
}
PLACE: Final = {"site": "bernburg", "location": "Zimmer 112"}
Body = dict[str, Any]


def lorawan(
    type_: str = "ttn", model: str | None = "milesight-ws101", *, of_device: Any = None, **changes: Any
) -> Sender:
    """The source of a network, with one device in Zimmer 112."""
    device = {**PLACE, "model": model, **(of_device or {})}
    return sender("lorawan", **{"type": type_, "devices": {WS101: device}, "presses": PRESSES} | changes)


def posted(emitter: Emitter, body: object, to: Sender, **query: str) -> list[Made]:
    """What becomes of a request with this JSON."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"content-type": "application/json"}
    return list(emitter.parse(Message(body=raw, received_at=NOW, headers=headers, query=query), to))


def _encoded(payload: str | None) -> str | None:
    return None if payload is None else base64.b64encode(bytes.fromhex(payload)).decode()


def _envelope(file: str) -> Body:
    body: Body = json.loads((PAYLOADS / file).read_text())
    return body


def things_stack(decoded: object = None, payload: str | None = None, port: int = 85) -> Body:
    """The Things Stack v3."""
    body = _envelope("ttn_envelope.json")
    said = {"decoded_payload": decoded, "frm_payload": _encoded(payload), "f_port": port}
    body["uplink_message"] |= {key: value for key, value in said.items() if value is not None}
    return body


def chirpstack_4(decoded: object = None, payload: str | None = None, port: int = 85) -> Body:
    """ChirpStack v4."""
    said = {"object": decoded, "data": _encoded(payload), "fPort": port}
    return _envelope("chirpstack_4_envelope.json") | {key: value for key, value in said.items() if value is not None}


def chirpstack_3(decoded: object = None, payload: str | None = None, port: int = 85) -> Body:
    """ChirpStack v3: the decoded object as text."""
    text = "" if decoded is None else json.dumps(decoded)
    return _envelope("chirpstack_3_envelope.json") | {
        "objectJSON": text,
        "data": _encoded(payload) or "",
        "fPort": port,
    }


def chirpstack_3_oldest(decoded: object = None, payload: str | None = None, port: int = 85) -> Body:
    """ChirpStack v3 with its oldest encoding, "JSON v3"."""
    body = chirpstack_4(decoded, payload, port) | {"devEUI": WS101.lower(), "applicationID": "7"}
    for name in ("deviceInfo", "deduplicationId", "time"):
        del body[name]
    return body


NETWORKS: Final[Mapping[str, tuple[str, Emitter, Callable[..., Body]]]] = {
    "The Things Stack": ("ttn", ttn.EMITTER, things_stack),
    "ChirpStack 4": ("chirpstack", chirpstack.EMITTER, chirpstack_4),
    "ChirpStack 3": ("chirpstack", chirpstack.EMITTER, chirpstack_3),
    "ChirpStack 3, oldest": ("chirpstack", chirpstack.EMITTER, chirpstack_3_oldest),
}
"""Each network: the source's type, its emitter, and how it wraps what a device sent."""
