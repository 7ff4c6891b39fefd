"""Reads the organisation's configuration; whatever is wrong with it comes back at once, each with file and line."""

from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from schemas.configuration import Configuration
from services.common.configuration.checks import check, suggestion
from services.common.configuration.pruning import remainder
from services.common.configuration.yaml_places import Document, Mistake, Path_, dotted, read
from services.common.settings import SettingsError

__all__ = ["ConfigurationError", "Mistake", "examine", "load"]

_MISSING = {
    "organisation": "organisation: {name: …, emergency: [bereitschaft@example.org]}",
    "emergency": "mail addresses that always reach somebody, for example emergency: [bereitschaft@example.org]",
    "key_sha256": "the hash that `rufkette new-key` prints",
    "secret_file": "the path of a file with the secret",
    "key_file": "the path of a file with the API key",
    "token_file": "the path of a file with the API token",
    "on": "on: [acknowledged], or more of alerted, acknowledged and closed",
    "url": "an address such as https://lorawan.example.org",
    "f_port": "the LoRaWAN port that the device listens to, from 1 to 223",
    "payloads": 'what the device is sent, for example payloads: {acknowledged: "01"}',
    "policy": "the name of one of `policies`",
    "site": "a key of `sites`",
    "sites": "sites: {bernburg: {name: Bernburg (Parkstraße)}}",
    "rules": "rules: [{name: everything, policy: normal}]",
    "policies": "policies: {normal: {steps: [{after: 0s, tell: [site_management]}], repeat: 5m}}",
    "kind": "kind: panic, form or manual",
    "after": "a duration such as 0s or 2m",
    "tell": "a list of roles, for example tell: [site_management]",
    "email": "a mail address",
}
_TYPES = {
    "string_type": "text; numbers and dates must stand in quotes",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "tuple_type": "a list, for example [a, b]",
    "list_type": "a list, for example [a, b]",
    "dict_type": "keys with values, for example {key: value}",
    "model_type": "keys with values, for example {key: value}",
    "model_attributes_type": "keys with values, for example {key: value}",
    "date_type": "a date such as 2026-12-24",
    "date_parsing": "a date such as 2026-12-24",
    "date_from_datetime_parsing": "a date such as 2026-12-24",
}


class ConfigurationError(SettingsError):
    """The configuration cannot be used; `mistakes` lists all that is to be changed, in the order of the file.

    A kind of `SettingsError`, so that a start with a wrong file ends like one with a wrong setting.
    """

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        self.mistakes = sorted(mistakes, key=lambda mistake: mistake.line)
        super().__init__("\n".join(map(str, self.mistakes)))


def load(path: Path) -> Configuration:
    """The configuration in a YAML file.

    Raises:
        ConfigurationError: the file cannot be read, is no YAML, does not fit, or contradicts itself.
    """
    return examine(path)[0]


def examine(path: Path) -> tuple[Configuration, list[Mistake]]:
    """The configuration in a YAML file, and hints: what is allowed and perhaps not meant, in the order of the file.

    Raises:
        ConfigurationError: as `load`. Contradictions are named together with wrong shapes, as far as what is left
            without the latter can be judged.
    """
    document = read(path)
    if document.data is None:
        raise ConfigurationError(document.mistakes)
    try:
        configuration = Configuration.model_validate(document.data)
    except ValidationError as error:
        _explain(document, error)
        left = remainder(document.data, [_path(document.data, one) for one in error.errors(include_url=False)])
        if left is not None:
            check(left.configuration, document, left.rule_numbers)
        raise ConfigurationError(document.mistakes) from None
    check(configuration, document)
    if document.mistakes:
        raise ConfigurationError(document.mistakes)
    return configuration, sorted(document.hints, key=lambda hint: hint.line)


def _explain(document: Document, error: ValidationError) -> None:
    told = {mistake.path for mistake in document.mistakes}
    for one in error.errors(include_url=False):
        path = _path(document.data, one)
        # Entries that are wrong themselves make their list too short for pydantic, not for a reader.
        counted = one["type"] == "too_short" and one["input"]
        if dotted(path) not in told and not counted:
            told.add(dotted(path))
            document.mistake(path, *_words(document, path, one))


def _path(data: Any, error: ErrorDetails) -> Path_:
    """The error's place in the file: pydantic's own parts (union tags, wrapped lists) are not in the data."""
    path: Path_ = ()
    for part in error["loc"]:
        named = isinstance(data, dict) and part in data
        if named or (isinstance(data, list) and isinstance(part, int) and part < len(data)):
            data = data[part]
            path = (*path, part)
    return (*path, str(error["loc"][-1])) if error["type"] == "missing" else path


def _words(document: Document, path: Path_, error: ErrorDetails) -> tuple[str, str]:
    """What is wrong and what is expected, in words for an administrator."""
    kind, context, value = error["type"], error.get("ctx", {}), error["input"]
    key = str(path[-1]) if path else ""
    if kind == "missing":
        return "is missing", _MISSING.get(key, f"{key}: …")
    if kind == "extra_forbidden":
        return "unknown key", suggestion(key, _known_keys(document.data, path[:-1]))
    if kind in ("literal_error", "enum"):
        return f"{_shown(value)} is not known", suggestion(str(value), _options(str(context["expected"])))
    if kind == "union_tag_invalid":
        return f"unknown type `{context['tag']}`", suggestion(str(context["tag"]), _options(context["expected_tags"]))
    if kind == "union_tag_not_found":
        return "has no `type`", "type: native or type: ttn"
    if kind in _TYPES:
        return f"{_shown(value)} does not fit", _TYPES[kind]
    if kind in ("greater_than_equal", "less_than_equal"):
        return f"{_shown(value)} is out of range", "0, 1, 2 or 3"
    if kind == "too_short":
        return "is empty", "at least one entry"
    if kind == "string_pattern_mismatch":
        expected = _MISSING["key_sha256"] if key == "key_sha256" else "one line of text"
        return "does not have the right form", expected
    if kind == "string_too_short":
        return "is empty", "some text"
    if kind == "value_error":
        return _own_words(str(context["error"]), path)
    return error["msg"], "what docs/configuration.md describes"


def _own_words(message: str, path: Path_) -> tuple[str, str]:
    wrong, _, expected = message.partition("; write ")
    if path[-1:] == ("repeat",):
        return wrong, "a duration such as 5m, or next_opening"
    if not expected and " must be " in wrong:
        subject, _, expected = wrong.partition(" must be ")
        return f"{subject} is not right", expected
    return wrong, expected or "what docs/configuration.md describes"


def _shown(value: object) -> str:
    text = str(value)
    return f"`{text[:60]}`" if isinstance(value, str | int | float) else f"a {type(value).__name__}"


def _options(expected: str) -> list[str]:
    return [option.strip("'") for option in expected.replace(" or ", ", ").split(", ")]


@cache
def _schema() -> dict[str, Any]:
    return Configuration.model_json_schema()


def _known_keys(data: Any, path: Path_) -> set[str]:
    """The keys that may stand at a place of the file, from the JSON Schema of the configuration."""
    nodes = _alternatives(_schema(), data)
    for part in path:
        data = data[part]
        below: list[dict[str, Any]] = []
        for node in nodes:
            found = node.get("items") if isinstance(part, int) else None
            found = found or node.get("properties", {}).get(part) or node.get("additionalProperties")
            # A role may be written as the list of its people.
            if not found and isinstance(part, int):
                found = node.get("properties", {}).get("people", {}).get("items")
            if isinstance(found, dict):
                below += _alternatives(found, data)
        nodes = below
    return {key for node in nodes for key in node.get("properties", {})}


def _alternatives(node: dict[str, Any], data: Any) -> list[dict[str, Any]]:
    if "$ref" in node:
        return _alternatives(_schema()["$defs"][node["$ref"].rsplit("/", 1)[-1]], data)
    tags = node.get("discriminator", {}).get("mapping", {})
    if isinstance(data, dict) and data.get("type") in tags:
        return _alternatives({"$ref": tags[data["type"]]}, data)
    options = [*node.get("anyOf", []), *node.get("oneOf", [])]
    return [found for option in options for found in _alternatives(option, data)] or [node]
