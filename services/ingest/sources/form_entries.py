"""The form's fields in a JSON document, whatever shape its system gives them: objects, or lists of answers."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

MOST_FIELDS: Final = 500
_KEYS: Final = ("key", "ref", "name", "id", "code")
_LABELS: Final = ("label", "title", "question", "text")
_FILE_NAMES: Final = ("originalName", "name", "filename", "fileName")
_TYPEFORM_OTHER: Final = "other"
_SIGNATURES: Final = frozenset({"SIGNATURE", "signature"})


@dataclass(frozen=True, slots=True)
class Posted:
    """One field of a form.

    `names`: all that the configuration may call it by, the likeliest first. `label`: as people read it. `value`: text,
    number, truth value, or a list of them; option ids and files are texts already. `raw`: as it stood there.
    """

    names: tuple[str, ...]
    label: str
    value: object
    raw: object


def posted(root: object, path: str, document: Mapping[str, Any]) -> list[Posted]:
    """The fields below `root`, which stands at `path` of the document; at most `MOST_FIELDS`."""
    found: list[Posted] = []
    _collect(root, path, path, _titles(document), found)
    return found


def _collect(value: object, path: str, root: str, titles: Mapping[str, tuple[str, str]], found: list[Posted]) -> None:
    if len(found) >= MOST_FIELDS:
        return
    if isinstance(value, dict):
        file = _file(value)
        if file is not None:
            found.append(_leaf(path, root, file, value))
            return
        for key, inner in value.items():
            _collect(inner, f"{path}.{key}" if path else key, root, titles, found)
    elif not isinstance(value, list):
        found.append(_leaf(path, root, _plain(value), value))
    elif all(not isinstance(one, dict | list) or _file(one) for one in value):
        found.append(_leaf(path, root, [_file(one) or _plain(one) for one in value], value))
    else:
        for number, inner in enumerate(value[:MOST_FIELDS]):
            entry = _entry(inner, titles) if isinstance(inner, dict) else None
            if entry is None:
                _collect(inner, f"{path}[{number}]", root, titles, found)
            elif len(found) < MOST_FIELDS:
                found.append(entry)


def _leaf(path: str, root: str, value: object, raw: object) -> Posted:
    inside = path[len(root) :].lstrip(".") if root else path
    return Posted((inside, path) if inside != path else (path,), inside or path, value, raw)


def _plain(value: object) -> object:
    if isinstance(value, str) and value.startswith("data:") and ";base64," in value[:100]:
        kind = value[5:].partition(";")[0][:60]
        return f"({kind}, {len(value.partition(',')[2]) * 3 // 4} bytes)"
    return value


def _file(value: object) -> str | None:
    """An upload in a word: its name and size; its content and address are nobody's business in an alarm."""
    if not isinstance(value, dict) or not isinstance(value.get("size"), int):
        return None
    name = next((value[key] for key in _FILE_NAMES if isinstance(value.get(key), str)), None)
    return f"{name} ({value['size']} bytes)" if name else None


def _titles(document: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """Typeform tells titles and refs apart from the answers: by field id, (ref, title)."""
    titles: dict[str, tuple[str, str]] = {}
    response = document.get("form_response")
    definition = response.get("definition") if isinstance(response, dict) else None
    fields = definition.get("fields") if isinstance(definition, dict) else None
    for one in fields if isinstance(fields, list) else ():
        if isinstance(one, dict) and isinstance(one.get("id"), str):
            titles[one["id"]] = (_text(one.get("ref")), _text(one.get("title")))
    return titles


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _entry(item: Mapping[str, Any], titles: Mapping[str, tuple[str, str]]) -> Posted | None:
    """An answer in a list: Typeform's by its `field`, everybody else's by key or label."""
    field = item.get("field")
    if isinstance(field, dict) and isinstance(item.get("type"), str):
        ref, title = titles.get(_text(field.get("id")), ("", ""))
        names = tuple(n for n in (_text(field.get("ref")) or ref, _text(field.get("id")), title) if n)
        raw = item.get(item["type"])
        return Posted(names, title or (names[0] if names else "?"), _answer(item["type"], raw), raw) if names else None
    held = "value" if "value" in item else "answer" if "answer" in item else None
    if held is None:
        return None
    keys = [text for text in map(item.get, _KEYS) if isinstance(text, str) and text]
    labels = [text for text in map(item.get, _LABELS) if isinstance(text, str) and text]
    if not (keys or labels):
        return None
    return Posted((*keys, *labels), labels[0] if labels else keys[0], _chosen(item, item[held]), item[held])


def _answer(kind: str, value: object) -> object:
    """The value of one of Typeform's answer types."""
    if isinstance(value, dict):
        labels = value.get("labels")
        chosen = [*(labels if isinstance(labels, list) else [value.get("label")]), value.get(_TYPEFORM_OTHER)]
        return [_plain(one) for one in chosen if isinstance(one, str | int | float)]
    if kind == "file_url" and isinstance(value, str):
        return value.partition("?")[0].partition("#")[0].rpartition("/")[2] or "(file)"
    return _plain(value)


def _chosen(item: Mapping[str, Any], value: object) -> object:
    """Option ids as the texts that people chose; a matrix as `row: column`."""
    if item.get("type") in _SIGNATURES:
        return "(signature)" if value else None
    if isinstance(value, dict):
        rows, columns = _options(item.get("rows")), _options(item.get("columns"))
        return [f"{rows.get(row, row)}: {_shown(columns, picked)}" for row, picked in value.items()]
    options = _options(item.get("options"))
    if isinstance(value, list):
        return [_file(one) or _plain(options.get(one, one) if isinstance(one, str) else one) for one in value]
    return _plain(options.get(value, value) if isinstance(value, str) else value)


def _shown(options: Mapping[str, str], picked: object) -> str:
    texts = picked if isinstance(picked, list) else [picked]
    return ", ".join(options.get(str(one), str(one)) for one in texts)


def _options(options: object) -> dict[str, str]:
    found: dict[str, str] = {}
    for one in options if isinstance(options, list) else ():
        if isinstance(one, dict) and isinstance(one.get("id"), str):
            text = next((one[name] for name in ("text", "label", "name") if isinstance(one.get(name), str)), None)
            if text is not None:
                found[one["id"]] = text
    return found
