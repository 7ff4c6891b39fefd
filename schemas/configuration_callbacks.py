"""The part of the configuration that says how a button learns what became of its press. Off unless it is written."""

import re
from pathlib import Path
from typing import Annotated, Any, Final, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, WithJsonSchema, model_validator

from schemas.configuration_values import Line, Model

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


class HttpCallback(Model):
    """A POST, signed as https://www.standardwebhooks.com says with the secret in the file."""

    url: Url
    secret_file: Path

    @property
    def secret(self) -> tuple[str, Path]:
        """The setting that names the file with its secret, and the file."""
        return "secret_file", self.secret_file


class _Downlink(Model):
    url: Base
    f_port: Port
    payloads: dict[Told, Payload]


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


Target = HttpCallback | TtnCallback | ChirpstackCallback
_TARGETS: Final = ("http", "ttn", "chirpstack")


class Callback(Model):
    """`on` which changes whom to tell; only the named device models, and the named devices."""

    on: Annotated[tuple[Told, ...], Field(min_length=1)]
    models: tuple[Line, ...] = ()
    devices: tuple[Line, ...] = ()
    http: HttpCallback | None = None
    ttn: TtnCallback | None = None
    chirpstack: ChirpstackCallback | None = None

    @property
    def way(self) -> str:
        """`http`, `ttn` or `chirpstack`."""
        return next(name for name in _TARGETS if getattr(self, name) is not None)

    @property
    def target(self) -> Target:
        """What is written under `way`."""
        found = self.http or self.ttn or self.chirpstack
        assert found is not None
        return found

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, value: Any) -> Any:
        if isinstance(value, dict):
            ways = [name for name in _TARGETS if value.get(name) is not None]
            if len(ways) != 1:
                found = f"has {' and '.join(ways)}" if ways else "does not say how"
                raise ValueError(f"{found}; write exactly one of http, ttn or chirpstack")
            if not value.get("models") and not value.get("devices"):
                raise ValueError(
                    "names no device: a light or a sound can betray a silent alarm, so each model is enabled by name; "
                    "write models: [milesight-ws101], or devices: [btn-112]"
                )
        return value

    @model_validator(mode="after")
    def _payload_for_each(self) -> "Callback":
        target = self.target
        if not isinstance(target, HttpCallback) and (missing := [t for t in self.on if t not in target.payloads]):
            raise ValueError(f'has no payload for {missing[0]}; write payloads: {{{missing[0]}: "01"}}')
        if not isinstance(target, HttpCallback) and (idle := [t for t in target.payloads if t not in self.on]):
            raise ValueError(f"has a payload for {idle[0]}, which `on` does not name; write it into both or neither")
        return self
