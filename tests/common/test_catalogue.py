"""The code against the catalogue of log events, in both directions."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from services.common.catalogue import CATALOGUE, COMMON, document

ROOT = Path(__file__).parents[2]
LEVELS = {"debug", "info", "warning", "error", "critical"}
# Handed on by the logging library itself, not by a call in the code.
BY_MACHINERY = {"library.logged", "process.crashed"}
NOT_VALUES = {"exc_info"}


class Call(NamedTuple):
    """One `log.level(…)` in the code; `name` is None when it is no literal."""

    place: str
    level: str
    names: tuple[str, ...]
    keys: frozenset[str]


def _literals(node: ast.expr) -> tuple[str, ...]:
    """The names that an expression can be: a literal, or a choice between two."""
    match node:
        case ast.Constant(value=str(name)):
            return (name,)
        case ast.IfExp(body=body, orelse=orelse):
            return _literals(body) + _literals(orelse)
    return ()


def _is_logger(node: ast.expr) -> bool:
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name):
            return name in ("log", "_log", "bound", "logger")
        case ast.Call(func=ast.Attribute(attr="bind", value=inner)):
            return _is_logger(inner)
        case ast.Call(func=ast.Attribute(attr="get_logger")):
            return True
    return False


def calls() -> Iterator[Call]:
    for file in sorted((ROOT / "services").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            match node:
                case ast.Call(func=ast.Attribute(attr=level, value=value)) if level in LEVELS | {"exception"}:
                    if _is_logger(value):
                        names = _literals(node.args[0]) if node.args else ()
                        keys = frozenset(keyword.arg for keyword in node.keywords if keyword.arg) - NOT_VALUES
                        place = f"{file.relative_to(ROOT)}:{node.lineno}"
                        yield Call(place, "error" if level == "exception" else level, names, keys)


def test_every_line_has_a_literal_name_and_no_positional_values() -> None:
    assert [call.place for call in calls() if not call.names] == []


def test_every_line_is_in_the_catalogue_with_its_level_and_keys() -> None:
    wrong = []
    for call in calls():
        for name in call.names:
            entry = CATALOGUE.get(name)
            if entry is None:
                wrong.append(f"{call.place}: {name} is not in the catalogue (keys {sorted(call.keys)})")
            elif entry.level != call.level:
                wrong.append(f"{call.place}: {name} is logged at {call.level}, the catalogue says {entry.level}")
            elif unlisted := call.keys - {*entry.keys, *COMMON}:
                wrong.append(f"{call.place}: {name} carries {sorted(unlisted)}, which the catalogue does not list")
    assert wrong == []


def test_every_entry_is_used() -> None:
    used = {name for call in calls() for name in call.names} | BY_MACHINERY
    assert sorted(set(CATALOGUE) - used) == []


def test_names_are_noun_dot_verb() -> None:
    for name in CATALOGUE:
        noun, _, verb = name.partition(".")
        assert noun.replace("_", "").islower(), name
        assert verb.replace("_", "").islower(), name


def test_the_document_is_current() -> None:
    assert (ROOT / "docs/logging.md").read_text() == document(), "run `make generate`"
