"""Patterns by which an administrator describes the messages of a device that no model is known for (`model: generic`).

A pattern is a JMESPath expression on the decoded object, or `hex:` and a regular expression that the whole payload, as
hexadecimal digits, must match.
"""

import contextlib
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Annotated, Any, Final, Literal

import jmespath
from jmespath.exceptions import JMESPathError, JMESPathTypeError
from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from schemas.configuration_values import Model

HEX: Final = "hex:"
Found = Callable[[Mapping[str, Any], str], object]
"""What a pattern finds in a decoded object and a payload in lower-case hexadecimal; None: nothing."""


@lru_cache(maxsize=4096)
def finder(pattern: str) -> Found:
    """The pattern, ready for use. Of a regular expression its first group is what it finds, or all of it.

    Raises:
        ValueError: it cannot be read.
    """
    return _in_payload(pattern.removeprefix(HEX).strip()) if pattern.startswith(HEX) else _in_object(pattern)


def _in_payload(expression: str) -> Found:
    try:
        compiled = re.compile(expression, re.IGNORECASE | re.ASCII)
    except (re.error, OverflowError, RecursionError) as error:
        raise ValueError(
            f"`{expression}` is no regular expression: {error}; write for example hex:014d01..01.*"
        ) from None

    def find(_: Mapping[str, Any], payload: str) -> object:
        match = compiled.fullmatch(payload)
        return None if match is None else match[1] if compiled.groups else match[0]

    return find


def _in_object(expression: str) -> Found:
    try:
        compiled = jmespath.compile(expression)
        with contextlib.suppress(JMESPathTypeError):
            compiled.search({})  # only a search finds out that a function does not exist
    except JMESPathError as error:
        wrong = str(error).splitlines()[0]
        raise ValueError(f"`{expression}` is no JMESPath: {wrong}; write for example event == 'sos'") from None

    def find(decoded: Mapping[str, Any], _: str) -> object:
        try:
            found: object = compiled.search(decoded)
        except (JMESPathError, ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError):
            return None  # a function of the expression cannot take what this device sent
        return found

    return find


def holds(pattern: str, decoded: Mapping[str, Any], payload: str) -> bool:
    """Whether the pattern finds something that means yes: nothing, false, 0, "", "0", "false" and [] mean no."""
    found = finder(pattern)(decoded, payload)
    if isinstance(found, str):
        return pattern.startswith(HEX) or found.strip().casefold() not in ("", "0", "false")
    return bool(found)


def _readable(pattern: str) -> str:
    if holds(pattern, {}, ""):
        raise ValueError(f"`{pattern}` also fits an empty message; in JMESPath, texts stand in 'single quotes'")
    return pattern


def _several(value: object) -> object:
    return (value,) if isinstance(value, str) else value


def _by_press(value: object) -> object:
    return {"any": value} if isinstance(value, str | list | tuple) else value


Pattern = Annotated[str, Field(min_length=1, max_length=1000), AfterValidator(_readable)]
Patterns = Annotated[tuple[Pattern, ...], BeforeValidator(_several, json_schema_input_type=str | list[str])]
Pressed = Literal["short", "long", "double", "any"]
PressPatterns = Annotated[
    dict[Pressed, Patterns],
    BeforeValidator(_by_press, json_schema_input_type=str | list[str] | dict[Pressed, str | list[str]]),
]


class BatteryPattern(Model):
    """Where the battery's figure stands, and which figures mean empty and full; alone: per cent."""

    value: Pattern
    empty: Annotated[float, Field(alias="from")] = 0
    full: Annotated[float, Field(alias="to")] = 100

    @model_validator(mode="after")
    def _has_a_range(self) -> "BatteryPattern":
        if self.empty >= self.full:
            raise ValueError("`from` must be less than `to`; write for example {value: voltage, from: 2.4, to: 3.0}")
        return self


def _per_cent(value: object) -> object:
    return {"value": value} if isinstance(value, str) else value


class DevicePatterns(Model):
    """What the messages of a generic device mean: `press` by what was pressed, or for any press."""

    press: PressPatterns = {}
    not_press: Patterns = ()
    battery: Annotated[
        BatteryPattern | None, BeforeValidator(_per_cent, json_schema_input_type=str | BatteryPattern | None)
    ] = None
