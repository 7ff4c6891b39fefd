"""The part of the configuration for buttons behind an MQTT broker."""

import re
from typing import Annotated, Final, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, model_validator

from schemas.configuration_patterns import DevicePatterns
from schemas.configuration_values import Line

Preset = Literal["shelly-gen2", "zigbee2mqtt", "tasmota"]
_WILDCARD: Final = re.compile(r"[+#]")


def _broker(value: str) -> str:
    try:
        parts = urlsplit(value)
        fits = parts.scheme in ("mqtt", "mqtts") and parts.hostname and (parts.port or 1) > 0
    except ValueError:
        fits = False
    if not fits:
        raise ValueError("is no address of a broker; write for example mqtts://user@broker.example.org:8883")
    if parts.password is not None:
        raise ValueError("holds a password; write it into a file and name that as password_file")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError("goes on after host and port; write for example mqtts://user@broker.example.org:8883")
    return value


def _filter(value: str) -> str:
    levels = value.split("/")
    misplaced = any(_WILDCARD.search(level) and len(level) > 1 for level in levels) or "#" in levels[:-1]
    if misplaced:
        raise ValueError(f"`{value}` is no topic filter; + stands for a whole level, # only for all that follows")
    return value


Broker = Annotated[str, AfterValidator(_broker)]
Filter = Annotated[Line, AfterValidator(_filter)]


class MqttTopic(DevicePatterns):
    """Which messages, and what they mean: by a preset, or by patterns.

    The device is what the first wildcard of `filter` stands for, unless `device` names it.
    """

    filter: Filter
    preset: Preset | None = None
    device: Annotated[Line | None, Field(max_length=200)] = None

    @model_validator(mode="after")
    def _says_what_a_press_is(self) -> "MqttTopic":
        if (self.preset is None) == (not self.press):
            raise ValueError("write exactly one of preset and press, for example preset: zigbee2mqtt")
        if self.preset is not None and (self.not_press or self.battery is not None):
            raise ValueError(
                "a preset knows what is no press and where the battery stands; leave not_press and battery out"
            )
        return self
