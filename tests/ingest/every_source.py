"""An organisation with a source of each type, and a real ingest that serves it."""

import base64
import hashlib
import hmac
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from services.ingest.sources.signatures import sign_standard
from tests.support.organisation import KEYS, write_configuration

SECRET = "what-only-the-sender-knows"
WHSEC = b"whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3"
OPERATOR = "rk_test_operator"
KEYED = ("buttons", "forms", "lorawan", "chirpstack", "bus", "panic-bus", "intranet")
"""Sources that show an API key."""
SECRETS = ("shelly", "flic")
SIGNED = ("formbricks", "typeform", "tally", "hmac")
PANIC = ("buttons", "lorawan", "chirpstack", "panic-bus", "shelly")


def key_of(source: str) -> str:
    return KEYS.get(source, f"rk_test_{source}")


def proof(source: str, body: bytes) -> tuple[dict[str, str], dict[str, str]]:
    """Headers and parameters that show that the source sends."""
    if source in SECRETS:
        return {}, {"secret": SECRET}
    if source == "formbricks":
        return sign_standard(WHSEC, "msg", datetime.now(UTC), body), {}
    if source in SIGNED:
        raw = hmac.digest(SECRET.encode(), body, hashlib.sha256)
        name = {"typeform": "typeform-signature", "tally": "tally-signature", "hmac": "x-signature"}[source]
        value = {"typeform": f"sha256={base64.b64encode(raw).decode()}", "tally": base64.b64encode(raw).decode()}
        return {name: value.get(source, raw.hex())}, {}
    return {"authorization": f"Bearer {key_of(source)}"}, {}


def write(directory: Path) -> Path:
    """The configuration, with its secrets beside it."""
    (directory / "secret").write_text(SECRET)
    (directory / "whsec").write_bytes(WHSEC)
    return write_configuration(directory / "config.yaml", _add)


def _add(content: dict[str, Any]) -> None:
    def keyed(name: str) -> dict[str, Any]:
        return {"key_sha256": hashlib.sha256(key_of(name).encode()).hexdigest()}

    place = {"site": "bernburg", "location": "Zimmer 112"}
    fields = {"site": {"field": "standort", "required": True}, "location": "raum", "danger_level": "stufe"}
    signature = {"header": "x-signature", "algorithm": "sha256", "encoding": "hex", "secret_file": "secret"}
    every = ["reported", "acknowledged", "police_requested", "handed_over", "closed", "heartbeat"]
    content["organisation"]["operator_key_sha256"] = hashlib.sha256(OPERATOR.encode()).hexdigest()
    content["sources"] |= {
        "chirpstack": {
            "type": "chirpstack", "kind": "panic", **keyed("chirpstack"), "devices": {"24E124535B316056": place},
        },
        "bus": {"type": "cloudevents", "kind": "form", **keyed("bus"), "may": every},
        "panic-bus": {"type": "cloudevents", "kind": "panic", **keyed("panic-bus"), "may": every},
        "shelly": {"type": "http-button", "kind": "panic", "secret_file": "secret", "devices": {"btn-7": place}},
        "flic": {"type": "flic", "kind": "panic", "secret_file": "secret", "devices": {"BC44-B06243": place}},
        "formbricks": {"type": "standard-webhooks", "secret_file": "whsec"},
        "typeform": {"type": "form", "preset": "typeform", "secret_file": "secret", "map": fields},
        "tally": {"type": "form", "preset": "tally", "secret_file": "secret", "map": fields},
        "hmac": {"type": "form", "signature": signature, "map": fields},
        "intranet": {"type": "form", **keyed("intranet"), "map": fields},
        "mqtt": {
            "type": "mqtt", "kind": "panic", "url": "mqtt://127.0.0.1:9",
            "topics": [{"filter": "zigbee2mqtt/+", "preset": "zigbee2mqtt"}],
        },
    }  # fmt: skip
