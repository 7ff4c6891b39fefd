"""The part of the configuration that says who reports: one class per `type` of source, and their devices.

To add a type: a class here, in `Source` below, and its module in services/ingest/sources/.
"""

import re
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from schemas.configuration_callbacks import Callback
from schemas.configuration_forms import Map, Mapping, Signature
from schemas.configuration_mqtt import Broker, MqttTopic
from schemas.configuration_patterns import DevicePatterns
from schemas.configuration_values import Address, Charge, Every, EveryOrNever, Level, Line, Model, Sha256
from schemas.events import Category, Kind, PoliceWish


class Device(DevicePatterns):
    """A button or tracker; its place comes from here, never from a message.

    `expect_every`: how often it must report, if not as its source says; `never`: it need not.
    `buttons`: which of a panel's buttons are panic buttons; absent: all. Patterns are for `model: generic` only.
    `secret_file`: its own secret, in a source of type `http-button`; that of the source does not do for it then.
    """

    site: str
    location: Line | None = None
    model: str | None = None
    buttons: frozenset[int] = frozenset()
    expect_every: EveryOrNever | None = None
    secret_file: Path | None = None


class _Source(Model):
    """`learn`: what it sends alarms nobody but `test_address`, and the log says which fields came."""

    kind: Kind
    danger_level: Level | None = None
    devices: dict[str, Device] = {}
    expect_every: Every | None = None
    battery_low: Charge = 0.2
    callback: Callback | None = None
    learn: bool = False
    test_address: Address | None = None

    @model_validator(mode="after")
    def _learns_with_an_address(self) -> "_Source":
        if self.learn and self.test_address is None:
            raise ValueError("learns, and there is nobody to be mailed; write test_address: you@example.org")
        if self.test_address is not None and not self.learn:
            raise ValueError(
                "has a test_address, but does not learn: everybody is alarmed; write learn: true, or no test_address"
            )
        return self

    @property
    def key(self) -> str | None:
        """The SHA-256 of its API key, for the types that have one."""
        found: str | None = getattr(self, "key_sha256", None)
        return found

    @property
    def secret(self) -> Path | None:
        """The file with its secret, for the types that have one."""
        found: Path | None = getattr(self, "secret_file", None)
        return found

    @property
    def register(self) -> dict[str, Device]:
        """Devices by normalised id."""
        return {normalise_device_id(k): d for k, d in self.devices.items()}

    @cached_property
    def answered(self) -> dict[str, str]:
        """The devices that are told what became of their press: their ids as they are spelt here, by normalised id."""
        if self.callback is None:
            return {}
        named = {normalise_device_id(device_id) for device_id in self.callback.devices}
        found = {normalise_device_id(k): (k, d.model) for k, d in self.devices.items()}
        return {n: k for n, (k, model) in found.items() if n in named or model in self.callback.models}


class _KeySource(_Source):
    """Shows an API key: `Authorization: Bearer KEY`."""

    key_sha256: Sha256


class NativeSource(_KeySource):
    """Posts report bodies to `/v1/incidents`."""

    type: Literal["native"]


class Press(Model):
    """What a short, long or double press means."""

    danger_level: Level | None = None
    category: Category | None = None
    police: PoliceWish | None = None


class _LorawanSource(_KeySource):
    """A network of LoRaWAN devices. `generic` holds the patterns of its devices with `model: generic`."""

    presses: dict[Literal["short", "long", "double"], Press] = {}
    generic: DevicePatterns | None = None

    @cached_property
    def patterns(self) -> dict[str, DevicePatterns]:
        """The patterns of each generic device, by its id as it is spelt here: its own, else the source's."""
        shared = dict(self.generic or DevicePatterns())
        names = DevicePatterns.model_fields
        return {
            key: DevicePatterns.model_construct(**shared | {n: getattr(d, n) for n in names if n in d.model_fields_set})
            for key, d in self.devices.items()
            if d.model == "generic"
        }


class TtnSource(_LorawanSource):
    """A webhook of The Things Stack v3."""

    type: Literal["ttn"]


class ChirpstackSource(_LorawanSource):
    """The HTTP integration of ChirpStack v4 or v3."""

    type: Literal["chirpstack"]


LorawanSource = TtnSource | ChirpstackSource


EventName = Literal["reported", "acknowledged", "police_requested", "handed_over", "closed", "heartbeat"]


class CloudeventsSource(_KeySource):
    """Posts CloudEvents to `/v1/events`; `may` names the types that it may send."""

    type: Literal["cloudevents"]
    may: Annotated[tuple[EventName, ...], Field(min_length=1)] = ("reported", "heartbeat")


class HttpButtonSource(_Source):
    """Buttons that can only call an address: GET or POST /v1/hooks/{source}/{device}?secret=….

    One secret for all, or one for each device; without one for all, only registered devices can press.
    """

    type: Literal["http-button"]
    secret_file: Path | None = None
    presses: dict[Literal["short", "long", "double"], Press] = {}

    @model_validator(mode="after")
    def _has_secrets(self) -> "HttpButtonSource":
        without = next((key for key, device in self.devices.items() if device.secret_file is None), None)
        if self.secret_file is None and (without is not None or not self.devices):
            missing = f"device `{without}` has no secret" if without else "has no secret"
            raise ValueError(f"{missing}; write secret_file here, or for each of its devices")
        return self


class FlicSource(_Source):
    """Flic's cloud buttons: POST /v1/hooks/{source}?secret=…, with a JWT that Flic signed.

    `public_key`: Flic's, as PEM, should it ever change.
    """

    type: Literal["flic"]
    secret_file: Path
    public_key: str | None = None
    presses: dict[Literal["short", "long", "double"], Press] = {}


class MqttSource(_Source):
    """Buttons behind an MQTT broker, which ingest subscribes to. `url` is mqtt:// or mqtts://, without the password."""

    type: Literal["mqtt"]
    url: Broker
    password_file: Path | None = None
    topics: Annotated[tuple[MqttTopic, ...], Field(min_length=1)]
    presses: dict[Literal["short", "long", "double"], Press] = {}

    @property
    def secret(self) -> Path | None:
        """The file with the password."""
        return self.password_file


class StandardWebhooksSource(_Source, Mapping):
    """Signed as https://www.standardwebhooks.com says. Without `map`, `data` is a report body."""

    type: Literal["standard-webhooks"]
    kind: Kind = Kind.FORM
    secret_file: Path
    map: Map | None = None


class FormSource(_Source, Mapping):
    """Posts fields: JSON, urlencoded or multipart. It shows an API key, or signs its messages.

    `key_in_url`: the key may also stand in the address, for senders that can set no header.
    """

    type: Literal["form"]
    kind: Kind = Kind.FORM
    key_sha256: Sha256 | None = None
    key_in_url: bool = False
    signature: Signature | None = None
    preset: Literal["typeform", "tally"] | None = None
    secret_file: Path | None = None
    map: Map = {}

    @property
    def secret(self) -> Path | None:
        """The file with what its messages are signed with."""
        return self.signature.secret_file if self.signature else self.secret_file

    @model_validator(mode="after")
    def _one_proof(self) -> "FormSource":
        shown = [n for n in ("key_sha256", "signature", "preset") if getattr(self, n) is not None]
        if len(shown) != 1:
            found = f"has {' and '.join(shown)}" if shown else "has no proof of who sends"
            raise ValueError(f"{found}; write exactly one of key_sha256, signature or preset")
        if (self.preset is not None) != (self.secret_file is not None):
            raise ValueError("`preset` and `secret_file` belong together; write both, or neither of them")
        if self.key_in_url and self.key_sha256 is None:
            raise ValueError("`key_in_url` needs a key; write key_sha256, or leave key_in_url out")
        return self


Source = Annotated[
    NativeSource
    | TtnSource
    | ChirpstackSource
    | StandardWebhooksSource
    | FormSource
    | CloudeventsSource
    | HttpButtonSource
    | FlicSource
    | MqttSource,
    Field(discriminator="type"),
]


def normalise_device_id(device_id: str) -> str:
    """`A8:17-58 ff` and `A81758FF` are one device."""
    return re.sub(r"[\s:._-]", "", device_id).casefold()
