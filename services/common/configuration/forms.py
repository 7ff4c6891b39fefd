"""What the map of a form can get wrong although its shape is right: expressions, value tables, defaults."""

import re
from collections.abc import Collection
from typing import Final

import jmespath
from jmespath.exceptions import JMESPathError

from schemas.configuration import Configuration
from schemas.configuration_forms import Map, Mapped, Target, Value
from schemas.configuration_sources import FormSource, StandardWebhooksSource
from schemas.events import Category, Kind, Mode, PoliceWish
from services.common.configuration.yaml_places import Document, Path_

_LIKE_AN_EXPRESSION: Final = re.compile(r"\w\.\w|\w\[|\]|[|`@*&]|\w\(|==|\.$")
"""A label such as `Was ist passiert? (kurz)` is no expression, and need not be one."""
_WORDS: Final[dict[str, tuple[str, ...]]] = {
    "category": tuple(Category),
    "police": tuple(PoliceWish),
    "mode": tuple(Mode),
}


def check_forms(configuration: Configuration, document: Document, sites: Collection[str]) -> None:
    """Note what is wrong with the forms' maps in the document's `mistakes`, and what may not be meant in its `hints`.

    Args:
        configuration: what is left of the file.
        document: the file.
        sites: the keys of all of its sites.
    """
    for name, source in configuration.sources.items():
        if not isinstance(source, FormSource | StandardWebhooksSource):
            continue
        path: Path_ = ("sources", name)
        for key in ("only", "fields"):
            _check_expression(document, (*path, key), getattr(source, key))
        for target, mapped in (source.map or {}).items():
            _check_mapped(document, (*path, "map", target), target, mapped, sites)
        if isinstance(source, FormSource) or source.map is not None:
            _check_place(document, path, source.map or {}, source.kind)
        if isinstance(source, FormSource) and source.signature is not None and "id" not in source.map:
            noticed = "a recorded message that is sent again is a new report"
            document.hint((*path, "map"), noticed, "`id`: a field that is unique for each submission")


def _check_expression(document: Document, path: Path_, text: str | None) -> None:
    wrong = _fault(text) if text is not None else None
    if wrong is not None:
        document.mistake(path, f"is no JMESPath: {wrong}", "an expression such as event == 'responseFinished'")


def _fault(text: str) -> str | None:
    """What is wrong with an expression, and at which character."""
    try:
        jmespath.compile(text)
    except JMESPathError as error:
        position = getattr(error, "lex_position", None)
        where = f" at character {position + 1}" if isinstance(position, int) else ""
        token = getattr(error, "token_value", None)
        return f"`{token}` is out of place{where}" if token else f"it ends too early or is misspelt{where}"
    return None


def _check_mapped(document: Document, path: Path_, target: Target, mapped: Mapped, sites: Collection[str]) -> None:
    wrong = _fault(mapped.field) if _LIKE_AN_EXPRESSION.search(mapped.field) else None
    if wrong is not None:
        expected = "the field's name or a JMESPath expression; a name that looks like one in double quotes: '\"a.b[\"'"
        document.mistake((*path, "field"), f"`{mapped.field}` is no JMESPath: {wrong}", expected)
    if mapped.required and mapped.default is not None:
        document.mistake((*path, "required"), "never comes true beside `default`", "one of the two")
    for answer, value in mapped.values.items():
        _check_value(document, (*path, "values", answer), target, value, sites)
    if mapped.default is not None:
        _check_value(document, (*path, "default"), target, mapped.default, sites)


def _check_value(document: Document, path: Path_, target: Target, value: Value, sites: Collection[str]) -> None:
    """A value of a table, or a default, must be what the report's field takes."""
    shown = str(value).lower() if isinstance(value, bool) else value
    match target:
        case "site":
            known: Collection[object] = sites
            expected = f"one of {', '.join(sites)}"
        case "danger_level":
            known = () if isinstance(value, bool) else (0, 1, 2, 3)
            expected = "0, 1, 2 or 3, without quotes"
        case "acute":
            known = (True, False) if isinstance(value, bool) else ()
            expected = "true or false, without quotes"
        case "category" | "police" | "mode":
            known = _WORDS[target]
            expected = f"one of {', '.join(_WORDS[target])}"
        case _:
            known = (value,) if isinstance(value, str) else ()
            expected = "text; numbers and truth values in quotes"
    if value not in known:
        document.mistake(path, f"`{shown}` is no {target}", expected)


def _check_place(document: Document, path: Path_, mapping: Map, kind: Kind) -> None:
    if "site" in mapping or "device_id" in mapping:
        return
    expected = "site: {field: …}, or site: {default: …} for a form of one site"
    if kind is Kind.PANIC:
        document.hint((*path, "map"), "nothing says the site: its alarms have no place", expected)
    else:
        document.mistake((*path, "map"), "nothing says the site, so that every message is refused", expected)
