"""Which devices are told, and an answer as a request.

The address comes from the configuration and the register, never from a message.
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from schemas.configuration import Configuration
from schemas.configuration_callbacks import Callback, ChirpstackCallback, HttpCallback, MqttCallback, TtnCallback
from schemas.configuration_sources import Source, normalise_device_id
from services.common.configuration.file import ConfigurationError, Mistake
from services.common.configuration.mqtt_callback_checks import broker_of, values_of
from services.ingest.callbacks.press import Answer
from services.ingest.sender import secret_of
from services.ingest.sources.signatures import sign_standard, standard_key

_AGENT: Final = "rufkette"
_LONGEST_PASSWORD: Final = 65_535
"""Bytes, of MQTT."""


@dataclass(frozen=True, slots=True)
class Called:
    """A source that its devices hear from: where, with which secret, and which devices.

    Over MQTT also the address of the broker, and what placeholders stand for, by the id of the device.
    """

    callback: Callback
    secret: bytes
    answered: Mapping[str, str]
    broker: str = ""
    values: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Call:
    """A POST."""

    url: str
    headers: Mapping[str, str]
    body: bytes


def called(configuration: Configuration, file: Path) -> dict[str, Called]:
    """Every source with a callback, by name; relative paths of secrets start beside the configuration's file.

    Raises:
        ConfigurationError: a secret cannot be read, is empty, or is none of its kind.
    """
    return {
        name: _called(configuration, name, source, source.callback, file)
        for name, source in configuration.sources.items()
        if source.callback is not None
    }


def _called(configuration: Configuration, name: str, source: Source, callback: Callback, file: Path) -> Called:
    if callback.mqtt is None:
        return Called(callback, _secret(name, callback, file), source.answered)
    values = values_of(source, callback.mqtt)
    if callback.mqtt.url is not None:
        url, password = callback.mqtt.url, _secret(name, callback, file)
    else:
        shared = broker_of(configuration, source, callback.mqtt)
        assert shared is not None, "held by the check of the configuration"
        url, password = shared.url, secret_of(callback.mqtt.broker or name, shared, file)
    if len(password) > _LONGEST_PASSWORD:
        wrong, expected = "the password of the broker is too long", f"at most {_LONGEST_PASSWORD} bytes, as MQTT allows"
        raise ConfigurationError([Mistake(file, 0, f"sources.{name}.callback.mqtt", wrong, expected)])
    return Called(callback, password, source.answered, url, values)


def _secret(name: str, callback: Callback, file: Path) -> bytes:
    if callback.target.secret is None:
        return b""
    setting, relative = callback.target.secret
    path = file.parent / relative
    try:
        secret = path.read_bytes().strip()
    except OSError as error:
        wrong = f"cannot read {path}: {error.strerror}"
    else:
        wrong = _wrong(callback, secret)
        wrong = f"{path} {wrong}" if wrong else ""
    if wrong:
        where = f"sources.{name}.callback.{callback.way}.{setting}"
        raise ConfigurationError([Mistake(file, 0, where, wrong, "a file with the secret")])
    return secret


def _wrong(callback: Callback, secret: bytes) -> str:
    if not secret:
        return "is empty"
    if isinstance(callback.target, HttpCallback):
        fits = standard_key(secret) is not None
        return "" if fits else "holds no secret of Standard Webhooks, which is whsec_ and base64"
    if isinstance(callback.target, MqttCallback):
        return "" if len(secret.splitlines()) == 1 else "holds more than one line"
    return "" if secret.isascii() and secret.decode().isprintable() else "holds more than one line of text"


def call(called: Called, answer: Answer, now: datetime) -> Call:
    """The request that tells a device. What is signed holds for this moment only."""
    match called.callback.target:
        case HttpCallback(url=url):
            body = _json(facts(answer))
            return Call(url, _headers() | sign_standard(called.secret, answer.id, now, body), body)
        case TtnCallback() as ttn:
            device = quote(_ttn_device(ttn, answer.device_id), safe="")
            path = f"/api/v3/as/applications/{ttn.application}/webhooks/{ttn.webhook}/devices/{device}/down/push"
            downlink = {"f_port": ttn.f_port, "frm_payload": _payload(ttn.payloads, answer), "priority": "NORMAL"}
            key = {"Authorization": f"Bearer {called.secret.decode()}"}
            return Call(ttn.url + path, _headers() | key, _json({"downlinks": [downlink]}))
        case ChirpstackCallback() as chirpstack:
            path = f"/api/devices/{quote(normalise_device_id(answer.device_id), safe='')}/queue"
            data = _payload(chirpstack.payloads, answer)
            item = {"confirmed": False, "f_port": chirpstack.f_port, "data": data}
            key = {"Grpc-Metadata-Authorization": f"Bearer {called.secret.decode()}"}
            return Call(chirpstack.url + path, _headers() | key, _json({"queueItem": item}))
        case MqttCallback():
            raise AssertionError("what is published is no request")


def facts(answer: Answer) -> dict[str, str]:
    """What may be told: nothing that a person said or is called."""
    return {
        "event_id": answer.event_id,
        "device_id": answer.device_id,
        "status": answer.status,
        "incident_id": answer.incident_id,
        "mode": "exercise" if answer.exercise else "actual",
        "at": answer.at.isoformat(timespec="milliseconds"),
    }


def _ttn_device(ttn: TtnCallback, device_id: str) -> str:
    """What the console calls it: as configured, or as it names a device by itself."""
    plain = normalise_device_id(device_id)
    named = next((name for key, name in ttn.ids.items() if normalise_device_id(key) == plain), None)
    is_dev_eui = len(plain) == 16 and all(digit in "0123456789abcdef" for digit in plain)
    return named or (f"eui-{plain}" if is_dev_eui else device_id.casefold())


def _payload(payloads: Mapping[Any, str], answer: Answer) -> str:
    return base64.b64encode(bytes.fromhex(payloads[answer.status])).decode()


def _headers() -> dict[str, str]:
    return {"Content-Type": "application/json", "User-Agent": _AGENT}


def _json(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body, separators=(",", ":")).encode()
