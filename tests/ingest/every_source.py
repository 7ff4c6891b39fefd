"""An organisation with a source of each type, how each of them proves itself, and what each of them sends."""

import base64
import hashlib
import hmac
import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from services.ingest.sources.signatures import sign_standard
from tests.ingest.support import PAYLOADS
from tests.support.organisation import KEYS, WS101, write_configuration
from tests.support.service import Service
from tests.support.waiting import eventually

SECRET = "what-only-the-sender-knows"
WHSEC = b"whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3"
BROKERS = "what-only-the-broker-knows"
OPERATOR = "rk_test_operator"
FLIC = ec.generate_private_key(ec.SECP256R1())
"""Signs in Flic's place."""
KEYED = ("buttons", "forms", "lorawan", "chirpstack", "bus", "panic-bus", "intranet", "press-form")
"""Sources that show an API key."""
SECRETS = ("shelly", "flic")
SIGNED = ("formbricks", "typeform", "tally", "hmac", "panic-hook", "panic-typeform")
PANIC = (
    "buttons",
    "lorawan",
    "chirpstack",
    "panic-bus",
    "shelly",
    "flic",
    "press-form",
    "panic-hook",
    "panic-typeform",
)
OF_JSON = ("buttons", "lorawan", "chirpstack", "panic-bus")
"""Panic sources whose messages are JSON objects; whatever the others send is a press."""
WS101_CHIRPSTACK = "24E124535B316056"


def key_of(source: str) -> str:
    """The API key of a source."""
    return KEYS.get(source, f"rk_test_{source}")


def proof(source: str, body: bytes, at: datetime | None = None) -> tuple[dict[str, str], dict[str, str]]:
    """Headers and parameters that show that the source sends; of Flic's button the body shows it, too."""
    if source in SECRETS:
        return {}, {"secret": SECRET}
    if source in ("formbricks", "panic-hook"):
        return sign_standard(WHSEC, "msg", at or datetime.now(UTC), body), {}
    if source in SIGNED:
        raw = hmac.digest(SECRET.encode(), body, hashlib.sha256)
        encoded = base64.b64encode(raw).decode()
        preset = source.removeprefix("panic-")
        name = {"typeform": "typeform-signature", "tally": "tally-signature", "hmac": "x-signature"}[preset]
        return {name: {"typeform": f"sha256={encoded}", "tally": encoded}.get(preset, raw.hex())}, {}
    return {"authorization": f"Bearer {key_of(source)}"}, {}


def token(**claims: Any) -> bytes:
    """A body of Flic's."""
    said = {"exp": int(time.time()) + 3600, "buttonSerialNumber": "BC44-B06243", "clickType": "click"} | claims
    return json.dumps({"token": jwt.encode(said, FLIC, algorithm="ES256")}).encode()


def samples(source: str) -> list[tuple[bytes, str]]:
    """What the source really sends, each with its content type."""
    plain, form = "application/json", "application/x-www-form-urlencoded"
    fields = {"standort": "bernburg", "raum": "Zimmer 112", "stufe": 2}
    event = {
        "specversion": "1.0", "id": "e-1", "source": "/room", "type": "rufkette.incident.reported.v1",
        "time": "2026-01-05T09:12:33+01:00", "data": {"site": "bernburg", "danger_level": 2},
    }  # fmt: skip
    multipart = b'--b\r\nContent-Disposition: form-data; name="standort"\r\n\r\nbernburg\r\n--b--\r\n'
    typeform = {"event_type": "form_response", "form_response": {"token": "t", "hidden": fields}}
    tally = {
        "eventType": "FORM_RESPONSE", "eventId": "e",
        "data": {"fields": [{"key": "q1", "label": "standort", "type": "INPUT_TEXT", "value": "bernburg"}]},
    }  # fmt: skip
    hook = {"type": "incident", "data": {"site": "bernburg", "danger_level": 1}}
    found: dict[str, list[tuple[object, str]]] = {
        "buttons": [({"id": "7", "device_id": "btn-112"}, plain), ({"site": "nowhere", "category": "x"}, "text/plain")],
        "forms": [({"site": "bernburg", "danger_level": 1, "description": "Ü"}, plain)],
        "lorawan": [((PAYLOADS / "ttn_envelope.json").read_bytes(), plain), ({"join_accept": {}}, plain)],
        "chirpstack": [
            ((PAYLOADS / "chirpstack_4_envelope.json").read_bytes(), plain),
            ((PAYLOADS / "chirpstack_3_envelope.json").read_bytes(), plain),
            ({"deviceInfo": {"devEui": WS101_CHIRPSTACK}, "margin": 7, "batteryLevel": 55.0}, plain),
        ],
        "intranet": [(b"standort=bernburg&raum=112&stufe=2", form), (multipart, "multipart/form-data; boundary=b")],
        "typeform": [(typeform, plain)],
        "tally": [(tally, plain)],
        "formbricks": [(hook, plain)],
        "hmac": [(fields, plain)],
        "shelly": [(b"", ""), (b"press=long", form)],
        "flic": [(token(), plain), (token(buttonBatteryStatus="low", clickType="hold"), plain)],
        "bus": [(event, "application/cloudevents+json"), ([event], "application/cloudevents-batch+json")],
    }
    found |= {"panic-bus": found["bus"], "press-form": found["intranet"], "panic-hook": found["formbricks"]}
    found["panic-typeform"] = found["typeform"]
    return [(raw if isinstance(raw, bytes) else json.dumps(raw).encode(), kind) for raw, kind in found[source]]


def write(directory: Path) -> Path:
    """The configuration, with its secrets beside it."""
    (directory / "secret").write_text(SECRET)
    (directory / "whsec").write_bytes(WHSEC)
    (directory / "broker").write_text(BROKERS)
    return write_configuration(directory / "config.yaml", _add)


def _add(content: dict[str, Any]) -> None:
    def keyed(name: str) -> dict[str, Any]:
        return {"key_sha256": hashlib.sha256(key_of(name).encode()).hexdigest()}

    place = {"site": "bernburg", "location": "Zimmer 112"}
    fields = {"site": {"field": "standort", "required": True}, "location": "raum", "danger_level": "stufe"}
    signature = {"header": "x-signature", "algorithm": "sha256", "encoding": "hex", "secret_file": "secret"}
    every = ["reported", "acknowledged", "police_requested", "handed_over", "closed", "heartbeat"]
    flics = FLIC.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    content["organisation"]["operator_key_sha256"] = hashlib.sha256(OPERATOR.encode()).hexdigest()
    content["sources"]["lorawan"]["devices"] = {WS101: place | {"model": "milesight-ws101"}}
    content["sources"] |= {
        "chirpstack": {
            "type": "chirpstack", "kind": "panic", **keyed("chirpstack"),
            "devices": {WS101_CHIRPSTACK: place | {"model": "milesight-ws101"}},
        },
        "bus": {"type": "cloudevents", "kind": "form", **keyed("bus"), "may": every},
        "panic-bus": {"type": "cloudevents", "kind": "panic", **keyed("panic-bus"), "may": every},
        "shelly": {"type": "http-button", "kind": "panic", "secret_file": "secret", "devices": {"btn-7": place}},
        "flic": {
            "type": "flic", "kind": "panic", "secret_file": "secret", "public_key": flics.decode(),
            "devices": {"BC44-B06243": place},
        },
        "formbricks": {"type": "standard-webhooks", "secret_file": "whsec"},
        "panic-hook": {"type": "standard-webhooks", "kind": "panic", "secret_file": "whsec"},
        "typeform": {"type": "form", "preset": "typeform", "secret_file": "secret", "map": fields},
        "panic-typeform": {
            "type": "form", "kind": "panic", "preset": "typeform", "secret_file": "secret", "map": fields,
        },
        "tally": {"type": "form", "preset": "tally", "secret_file": "secret", "map": fields},
        "hmac": {"type": "form", "signature": signature, "map": fields},
        "intranet": {"type": "form", **keyed("intranet"), "key_in_url": True, "map": fields},
        "press-form": {"type": "form", "kind": "panic", **keyed("press-form"), "map": fields},
        "mqtt": {
            "type": "mqtt", "kind": "panic", "url": "mqtt://rufkette@127.0.0.1:9", "password_file": "broker",
            "topics": [{"filter": "zigbee2mqtt/+", "preset": "zigbee2mqtt"}],
        },
    }  # fmt: skip


async def start(service: Service) -> None:
    """Start an ingest with these sources: nothing is away but the broker, which there is none of."""
    await service.start(ready=False)
    await eventually(lambda: service.wait_for_readiness("degraded"), lambda away: set(away) == {"mqtt mqtt"})
