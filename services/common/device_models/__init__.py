"""The known models of LoRaWAN devices: one YAML file for each maker; README.md says how their lines are read.

To add a model: its lines in a file here, and messages of it in tests/payloads/.
"""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Final

import yaml

GENERIC: Final = "generic"
"""The model whose messages the configuration describes."""
_LOADER: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""The one in C reads ten times as fast, and every command waits for these tables."""
_FRAGMENT = re.compile(r"<([a-z_]+)>")


@cache
def tables() -> Mapping[str, Mapping[str, Any]]:
    """The lines of each model, with fragments put in and lines for several buttons written out."""
    found: dict[str, Mapping[str, Any]] = {}
    for file in sorted(files(__package__ or "").iterdir(), key=lambda entry: entry.name):
        if file.name.endswith(".yaml"):
            content = yaml.load(file.read_text(encoding="utf-8"), Loader=_LOADER)  # noqa: S506 - a safe one, see there
            fragments = content.pop("fragments", {})
            for name, table in content.items():
                rules = [line for rule in table["rules"] for line in _written_out(rule, fragments)]
                battery = [_filled_line(line, None, fragments) for line in table.get("battery", ())]
                found[name] = {"battery": battery, "rules": rules}
    return found


@cache
def names() -> frozenset[str]:
    """What `model` may say."""
    return frozenset({GENERIC, *tables()})


def buttons(model: str) -> frozenset[int]:
    """The numbers of a model's buttons; empty for a model with one button."""
    rules = tables().get(model, {}).get("rules", ())
    return frozenset(rule["button"] for rule in rules if "button" in rule)


def _written_out(rule: dict[str, Any], fragments: Mapping[str, str]) -> Iterator[dict[str, Any]]:
    count = rule.get("buttons")
    for number in range(1, count + 1) if count else (None,):
        line = _filled_line(rule, number, fragments)
        yield line if number is None else {**line, "button": number}


def _filled_line(line: dict[str, Any], number: int | None, fragments: Mapping[str, str]) -> dict[str, Any]:
    return {key: _filled(value, number, fragments) for key, value in line.items() if key != "buttons"}


def _filled(value: Any, number: int | None, fragments: Mapping[str, str]) -> Any:
    if isinstance(value, list):
        return [_filled(one, number, fragments) for one in value]
    if not isinstance(value, str):
        return value
    text = _FRAGMENT.sub(lambda match: fragments[match[1]], value)
    return text if number is None else text.replace("#", str(number))
