"""What is left of a configuration without the parts whose shape is wrong, so that contradictions are found as well.

Whole units are left out – a rule, a policy, a device, a role, one key of a site – and never half of one: half a rule
would mean something else than its author did.
"""

import copy
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from schemas.configuration import Configuration
from services.common.configuration.yaml_places import Path_

_PLACEHOLDER = {"name": "…", "emergency": ["emergency@example.org"]}
_UNIT_LENGTHS = {"rules": 2, "policies": 2, "roles": 2, "mail": 1, "merge": 1, "retention": 1}


@dataclass(frozen=True, slots=True)
class Remainder:
    """A configuration of the parts that fit, and the numbers that its rules have in the file."""

    configuration: Configuration
    rule_numbers: tuple[int, ...]


def remainder(data: Any, wrong: Iterable[Path_]) -> Remainder | None:
    """The configuration without the units that hold a wrong place; None when too little is left to judge."""
    if not isinstance(data, dict):
        return None
    left = copy.deepcopy(data)
    rules = left.get("rules")
    numbers = list(range(len(rules))) if isinstance(rules, list) else []
    for unit in sorted({_unit(path) for path in wrong}, key=_last_rule_first):
        if unit[:1] == ("rules",) and len(unit) == 2 and isinstance(unit[1], int):
            numbers.remove(unit[1])
        _drop(left, unit)
    organisation = left.get("organisation")
    left["organisation"] = _PLACEHOLDER | (organisation if isinstance(organisation, dict) else {})
    try:
        return Remainder(Configuration.model_validate(left), tuple(numbers))
    except ValidationError:
        return None


def _unit(path: Path_) -> Path_:
    """The smallest part around a place that can be left out without changing what the rest means."""
    match path:
        case ("sites", _, "people", *_):
            return path[:4]
        case ("sites", _, "name", *_) | ("sites", _):
            return path[:2]
        case ("sites", _, *_):
            return path[:3]
        case ("sources", _, "devices", *_):
            return path[:4]
        case ("sources", *_):
            return path[:2]
        case (str(top), *_) if top in _UNIT_LENGTHS:
            return path[: _UNIT_LENGTHS[top]]
        case _:
            return path[:2]


def _last_rule_first(unit: Path_) -> tuple[str, int]:
    number = unit[1] if len(unit) > 1 and isinstance(unit[1], int) else 0
    return (str(unit[0]) if unit else "", -number)


def _drop(data: Any, unit: Path_) -> None:
    for part in unit[:-1]:
        if not isinstance(data, dict) or part not in data:
            return  # the unit around it is gone already, or was never there
        data = data[part]
    if unit and isinstance(data, list) and isinstance(unit[-1], int):
        del data[unit[-1]]
    elif unit and isinstance(data, dict):
        data.pop(unit[-1], None)
