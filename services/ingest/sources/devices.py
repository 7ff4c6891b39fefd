"""What a device's message means, by the table in devices.yaml: a press, something else, or not understood."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from typing import Annotated, Any, Final, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

Pressed = Literal["short", "long", "double", "any"]
Paths = Annotated[tuple[str, ...], BeforeValidator(lambda v: (v,) if isinstance(v, str) else tuple(v))]
_NUMBER = re.compile(r"-?\d+(\.\d+)?", re.ASCII)
_MISSING: Final = object()


@dataclass(frozen=True, slots=True)
class Meaning:
    """`press` is set for a press, `other` names a message that is none; neither: not understood."""

    press: Pressed | None = None
    other: str | None = None


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Rule(_Model):
    """One line of the table."""

    path: Paths = ()
    values: Annotated[tuple[str | bool | int, ...], Field(alias="is")] = ()
    only: frozenset[str] = frozenset()
    hex: re.Pattern[str] | None = None
    press: Pressed | None = None
    other: str | None = None

    @cached_property
    def meaning(self) -> Meaning:
        """What a match means."""
        return Meaning(self.press, self.other)

    @cached_property
    def wanted(self) -> frozenset[str]:
        """The values in the one spelling that they are compared in."""
        return frozenset(map(_plain, self.values))

    def matches(self, decoded: Mapping[str, Any], payload: str) -> bool:
        """Whether the message is what this line describes."""
        if self.hex is not None:
            return bool(payload) and self.hex.fullmatch(payload) is not None
        if self.only:
            return bool(decoded) and self.only.issuperset(decoded)
        found = [value for value in (_at(decoded, path) for path in self.path) if value is not _MISSING]
        return any(not self.values or _plain(value) in self.wanted for value in found)


class Battery(_Model):
    """Where the charge stands, and which figures mean empty and full."""

    path: Paths = ()
    hex: re.Pattern[str] | None = None
    mask: int = 0xFF
    unit: float = 1.0
    offset: float = 0.0
    empty: Annotated[float, Field(alias="from")]
    full: Annotated[float, Field(alias="to")]
    zero: Literal["empty", "none"] = "empty"
    """Whether a raw zero is an empty battery, or no figure at all (a device that is charging)."""

    def read(self, decoded: Mapping[str, Any], payload: str) -> float | None:
        """The charge from 0 to 1."""
        figure = self._figure(decoded, payload)
        if figure is None or not -1e6 < figure < 1e6:
            return None
        return round(min(1.0, max(0.0, (figure - self.empty) / (self.full - self.empty))), 3)

    def _figure(self, decoded: Mapping[str, Any], payload: str) -> float | None:
        if self.hex is not None:
            match = self.hex.match(payload)
            raw = int(match[1], 16) & self.mask if match else None
            return None if raw is None or (raw == 0 and self.zero == "none") else raw * self.unit + self.offset
        for path in self.path:
            value = _at(decoded, path)
            if isinstance(value, int | float) and not isinstance(value, bool):
                return float(value)
            number = _NUMBER.match(value) if isinstance(value, str) else None
            if number:
                return float(number[0][:20])
        return None


class DeviceModel(_Model):
    """The lines for one model of device."""

    rules: tuple[Rule, ...]
    battery: tuple[Battery, ...] = ()

    def meaning(self, decoded: Mapping[str, Any], payload: str) -> Meaning:
        """The first line that matches."""
        return next((rule.meaning for rule in self.rules if rule.matches(decoded, payload)), Meaning())

    def charge(self, decoded: Mapping[str, Any], payload: str) -> float | None:
        """The battery from 0 to 1, if the message says it."""
        return next((c for c in (b.read(decoded, payload) for b in self.battery) if c is not None), None)


def _plain(value: object) -> str:
    if isinstance(value, str):
        text = " ".join(value.split()).casefold()
        return {"true": "1", "false": "0"}.get(text, text)
    if isinstance(value, bool | int):
        return str(int(value)) if abs(value) < 1000 else "number"
    return "1" if value == 1.0 else "0" if value == 0.0 else "?"


def _at(decoded: Mapping[str, Any], path: str) -> object:
    value: object = decoded
    for key in path.split("."):
        if not isinstance(value, Mapping) or key not in value:
            return _MISSING
        value = value[key]
    return _MISSING if isinstance(value, dict | list) or value is None else value


def _load() -> dict[str, DeviceModel]:
    table = yaml.safe_load((files(__package__ or "") / "devices.yaml").read_text(encoding="utf-8"))
    return {name: DeviceModel.model_validate(lines) for name, lines in table.items()}


MODELS: Final = _load()


def understand(model: str | None, decoded: Mapping[str, Any], payload: str) -> tuple[Meaning, float | None]:
    """What a message means, and the battery's charge from 0 to 1.

    Args:
        model: the device's model; for one that the table does not have, every spelling of a press is tried, and of
            the rest only decoded messages: raw bytes of an unknown device may mean anything.
        decoded: what the network's decoder made of the payload; empty if it did not decode.
        payload: the payload as lower-case hexadecimal.
    """
    inner = decoded.get("data")
    if isinstance(inner, Mapping) and len(decoded) <= 3:
        decoded = inner  # some decoders wrap their object once more
    known = MODELS.get(model or "")
    if known is not None:
        return known.meaning(decoded, payload), known.charge(decoded, payload)
    meanings = [each.meaning(decoded, "") for each in MODELS.values()]
    pressed = next((m for m in meanings if m.press), None)
    other = next((m for m in meanings if m.other), None)
    return pressed or other or Meaning(), None
