"""The part of the configuration that says how a button learns what became of its press. Off unless it is written."""

import re
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema, model_validator

from schemas.configuration_mqtt import Broker
from schemas.configuration_values import Line, Model
from schemas.mqtt_topics import payload_template, topic_template

Told = Literal["alerted", "acknowledged", "closed"]
"""What a button can be told; the words of `GET /v1/events/{event_id}`."""
LONGEST_PAYLOAD: Final = 51
"""Bytes of a downlink that fits at every data rate of LoRaWAN in Europe."""


def _url(value: str) -> str:
    wrong = "is no address that can be called"
    try:
        parts = urlsplit(value)
        fits = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        fits = False
    if not fits or re.search(r"[\s\x00-\x1f]", value) or parts.fragment:
        raise ValueError(f"{wrong}; write for example https://buttons.example.org/answer")
    if "@" in parts.netloc:
        raise ValueError("holds a user; write the address alone: the secret belongs into its file")
    return value


def _base(value: str) -> str:
    if urlsplit(_url(value)).query:
        raise ValueError("holds a query; write only where the API begins, such as https://lorawan.example.org")
    return value.rstrip("/")


def _port(value: int) -> int:
    if not 1 <= value <= 223:
        raise ValueError("is no port of LoRaWAN; write a number from 1 to 223")
    return value


def _payload(value: str) -> str:
    digits = re.sub(r"\s", "", value).lower()
    if not re.fullmatch(r"([0-9a-f]{2})+", digits) or len(digits) > 2 * LONGEST_PAYLOAD:
        raise ValueError(
            f'is no payload; write 1 to {LONGEST_PAYLOAD} bytes in hexadecimal digits and quotes, for example "01ff"'
        )
    return digits


def _network_id(value: str) -> str:
    if not re.fullmatch(r"[a-z0-9](-?[a-z0-9]){1,35}", value):
        raise ValueError(
            "is no id of The Things Stack; write it as the console shows it, for example jobcenter-buttons"
        )
    return value


Url = Annotated[str, AfterValidator(_url)]
Base = Annotated[str, AfterValidator(_base)]
Port = Annotated[int, AfterValidator(_port), WithJsonSchema({"type": "integer", "minimum": 1, "maximum": 223})]
Payload = Annotated[str, AfterValidator(_payload), WithJsonSchema({"type": "string", "pattern": r"^[0-9A-Fa-f\s]+$"})]
NetworkId = Annotated[str, AfterValidator(_network_id)]
TopicTemplate = Annotated[str, AfterValidator(topic_template)]
PayloadTemplate = Annotated[str, BeforeValidator(payload_template)]


class HttpCallback(Model):
    """A POST, signed as https://www.standardwebhooks.com says with the secret in the file."""

    url: Url
    secret_file: Path

    @property
    def secret(self) -> tuple[str, Path]:
        """The setting that names the file with its secret, and the file."""
        return "secret_file", self.secret_file

    @property
    def worded(self) -> frozenset[str] | None:
        """For which changes something to say is written; None: it says all by itself."""
        return None


class _Downlink(Model):
    url: Base
    f_port: Port
    payloads: dict[Told, Payload]

    @property
    def worded(self) -> frozenset[str] | None:
        """As for `HttpCallback`."""
        return frozenset(self.payloads)


class TtnCallback(_Downlink):
    """A downlink through The Things Stack v3.

    `ids`: what the console calls a device, by its id here, where that is not `eui-` and the dev EUI.
    """

    application: NetworkId
    webhook: NetworkId
    key_file: Path
    ids: dict[str, NetworkId] = {}

    @property
    def secret(self) -> tuple[str, Path]:
        """As for `HttpCallback`."""
        return "key_file", self.key_file


class ChirpstackCallback(_Downlink):
    """A downlink through ChirpStack's REST API, version 4."""

    token_file: Path

    @property
    def secret(self) -> tuple[str, Path]:
        """As for `HttpCallback`."""
        return "token_file", self.token_file


class MqttMessage(Model):
    """What is published: templates, see schemas/mqtt_topics.py."""

    topic: TopicTemplate
    payload: PayloadTemplate


class MqttCallback(Model):
    """A message to a broker, with QoS 1 and not retained.

    The broker is that of the source itself, or of the source of type `mqtt` that `broker` names, or the one at `url`.
    `ids`: what `{device}` stands for, by a button's id here, where that is not the id.
    """

    broker: Line | None = None
    url: Broker | None = None
    password_file: Path | None = None
    messages: dict[Told, MqttMessage]
    ids: dict[str, Line] = {}

    @property
    def secret(self) -> tuple[str, Path] | None:
        """As for `HttpCallback`; None where the broker asks for none, or that of a source is used."""
        return ("password_file", self.password_file) if self.password_file else None

    @property
    def worded(self) -> frozenset[str] | None:
        """As for `HttpCallback`."""
        return frozenset(self.messages)

    @model_validator(mode="after")
    def _one_broker(self) -> "MqttCallback":
        if self.broker is not None and self.url is not None:
            raise ValueError("has broker and url; write the name of a source of type mqtt, or an address of its own")
        if self.password_file is not None and self.url is None:
            raise ValueError("has a password_file without a url; write both, or neither: a source has its own")
        return self


Target = HttpCallback | TtnCallback | ChirpstackCallback | MqttCallback
_TARGETS: Final = ("http", "ttn", "chirpstack", "mqtt")


class Callback(Model):
    """`on` which changes whom to tell; only the named device models, and the named devices."""

    on: Annotated[tuple[Told, ...], Field(min_length=1)]
    models: tuple[Line, ...] = ()
    devices: tuple[Line, ...] = ()
    http: HttpCallback | None = None
    ttn: TtnCallback | None = None
    chirpstack: ChirpstackCallback | None = None
    mqtt: MqttCallback | None = None

    @property
    def way(self) -> str:
        """`http`, `ttn`, `chirpstack` or `mqtt`."""
        return next(name for name in _TARGETS if getattr(self, name) is not None)

    @property
    def target(self) -> Target:
        """What is written under `way`."""
        found = self.http or self.ttn or self.chirpstack or self.mqtt
        assert found is not None
        return found

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, value: Any) -> Any:
        if isinstance(value, dict):
            ways = [name for name in _TARGETS if value.get(name) is not None]
            if len(ways) != 1:
                found = f"has {' and '.join(ways)}" if ways else "does not say how"
                raise ValueError(f"{found}; write exactly one of http, ttn, chirpstack or mqtt")
            if not value.get("models") and not value.get("devices"):
                raise ValueError(
                    "names no device: a light or a sound can betray a silent alarm, so each model is enabled by name; "
                    "write models: [milesight-ws101], or devices: [btn-112]"
                )
        return value

    @model_validator(mode="after")
    def _words_for_each(self) -> "Callback":
        worded = self.target.worded
        if worded is None:
            return self
        what, where, example = (
            ("message", "messages", '{topic: "zigbee2mqtt/{device}/set", payload: \'{"state": "ON"}\'}')
            if isinstance(self.target, MqttCallback)
            else ("payload", "payloads", '"01"')
        )
        if missing := [told for told in self.on if told not in worded]:
            raise ValueError(f"has no {what} for {missing[0]}; write {where}: {{{missing[0]}: {example}}}")
        if idle := sorted(worded.difference(self.on)):
            raise ValueError(f"has a {what} for {idle[0]}, which `on` does not name; write it into both or neither")
        return self
