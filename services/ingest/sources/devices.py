"""What a device's message means, by the tables of the known models: a press, something else, or not understood."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, Final

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from schemas.configuration_patterns import DevicePatterns, Pressed, finder, holds
from services.common.device_models import tables

Paths = Annotated[tuple[str, ...], BeforeValidator(lambda v: (v,) if isinstance(v, str) else tuple(v))]
_NUMBER = re.compile(r"-?\d+(\.\d+)?", re.ASCII)
_DIGITS = re.compile(r"[0-9a-f]{1,4}", re.ASCII)
_MISSING: Final = object()


@dataclass(frozen=True, slots=True)
class Said:
    """What a device sent: what the network's decoder made of it (empty: nothing), and the payload in lower-case hex."""

    decoded: Mapping[str, Any]
    payload: str = ""
    port: int | None = None


@dataclass(frozen=True, slots=True)
class Meaning:
    """`press` is set for a press, `other` names a message that is none; neither: not understood."""

    press: Pressed | None = None
    other: str | None = None


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Rule(_Model):
    """One line of a table; services/common/device_models/README.md says what its keys mean."""

    path: Paths = ()
    values: Annotated[tuple[str | bool | int, ...], Field(alias="is")] = ()
    only: frozenset[str] = frozenset()
    hex: re.Pattern[str] | None = None
    port: frozenset[int] = frozenset()
    button: int | None = None
    model_only: bool = False
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

    def matches(self, said: Said) -> bool:
        """Whether the message is what this line describes."""
        if self.port and said.port not in self.port and not (said.port is None and self.press):
            return False
        if self.hex is not None and self.hex.fullmatch(said.payload) is None:
            return False
        if self.only and not (said.decoded and self.only.issuperset(said.decoded)):
            return False
        return not self.path or self._is_in(said.decoded)

    def _is_in(self, decoded: Mapping[str, Any]) -> bool:
        found = [value for value in (_at(decoded, path) for path in self.path) if value is not _MISSING]
        return any(not self.values or _plain(value) in self.wanted for value in found)


class Battery(_Model):
    """Where the charge stands, and which figures mean empty and full."""

    path: Paths = ()
    hex: re.Pattern[str] | None = None
    port: frozenset[int] = frozenset()
    mask: int = 0xFF
    unit: float = 1.0
    offset: float = 0.0
    none: frozenset[int] = frozenset()
    empty: Annotated[float, Field(alias="from")]
    full: Annotated[float, Field(alias="to")]

    def read(self, said: Said) -> float | None:
        """The charge from 0 to 1."""
        if self.port and said.port not in self.port:
            return None
        return scaled(self._figure(said), self.empty, self.full)

    def _figure(self, said: Said) -> float | None:
        if self.hex is not None:
            match = self.hex.match(said.payload)
            raw = int(match[1], 16) & self.mask if match else None
            return None if raw is None or raw in self.none else raw * self.unit + self.offset
        figures = (number(_at(said.decoded, path)) for path in self.path)
        return next((f for f in figures if f is not None and f not in self.none), None)


class DeviceModel(_Model):
    """The lines for one model of device."""

    rules: tuple[Rule, ...]
    battery: tuple[Battery, ...] = ()

    def meaning(self, said: Said, buttons: frozenset[int] = frozenset()) -> Meaning:
        """The first line that matches.

        Args:
            said: the message.
            buttons: those that are panic buttons; empty: all.
        """
        another = Meaning()
        for rule in self.rules:
            if rule.matches(said):
                if not buttons or rule.button is None or rule.button in buttons:
                    return rule.meaning
                another = Meaning(other="another button")
        return another

    def charge(self, said: Said) -> float | None:
        """The battery from 0 to 1, if the message says it."""
        return next((c for c in (b.read(said) for b in self.battery) if c is not None), None)


def number(value: object) -> float | None:
    """The number that a value is or begins with, if it is one."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value) if -1e6 < value < 1e6 else None
    found = _NUMBER.match(value) if isinstance(value, str) else None
    return float(found[0][:20]) if found else None


def scaled(figure: float | None, empty: float, full: float) -> float | None:
    """A figure as a charge from 0 to 1."""
    if figure is None or not -1e6 < figure < 1e6:
        return None
    return round(min(1.0, max(0.0, (figure - empty) / (full - empty))), 3)


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


def _of_any(models: Iterable[DeviceModel]) -> DeviceModel:
    """The lines that count for a device without a model: decoded objects only, and a press before everything else."""
    lines = {
        (rule.path, rule.wanted, rule.only, rule.meaning): rule
        for model in models
        for rule in model.rules
        if rule.hex is None and not rule.port and not rule.model_only
    }
    return DeviceModel(rules=tuple(sorted(lines.values(), key=lambda rule: rule.press is None)))


MODELS: Final = {name: DeviceModel.model_validate(lines) for name, lines in tables().items()}
_ANY: Final = _of_any(MODELS.values())


def understand(
    model: str | None, said: Said, *, buttons: frozenset[int] = frozenset(), patterns: DevicePatterns | None = None
) -> tuple[Meaning, float | None]:
    """What a message means, and the battery's charge from 0 to 1.

    Args:
        model: the device's model; without one every spelling of a press is tried, and of the rest only decoded
            messages: raw bytes of an unknown device may mean anything.
        said: the message.
        buttons: which of the device's buttons are panic buttons; empty: all.
        patterns: of a generic device.
    """
    if patterns is not None:
        return _by_patterns(patterns, said)
    inner = said.decoded.get("data")
    if isinstance(inner, Mapping) and len(said.decoded) <= 3:
        said = Said(inner, said.payload, said.port)  # some decoders wrap their object once more
    known = MODELS.get(model or "")
    if known is not None:
        return known.meaning(said, buttons), known.charge(said)
    return _ANY.meaning(said), None


def _by_patterns(patterns: DevicePatterns, said: Said) -> tuple[Meaning, float | None]:
    """A press goes before everything that is none."""
    charge = None
    if patterns.battery is not None:
        found = finder(patterns.battery.value)(said.decoded, said.payload)
        figure = _raw(found) if patterns.battery.value.startswith("hex:") else number(found)
        charge = scaled(figure, patterns.battery.empty, patterns.battery.full)
    for press, several in patterns.press.items():
        if any(holds(pattern, said.decoded, said.payload) for pattern in several):
            return Meaning(press=press), charge
    if any(holds(pattern, said.decoded, said.payload) for pattern in patterns.not_press):
        return Meaning(other="not a press"), charge
    return Meaning(), charge


def _raw(found: object) -> float | None:
    return float(int(found, 16)) if isinstance(found, str) and _DIGITS.fullmatch(found) else None
