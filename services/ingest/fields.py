"""Which fields a message has, by name and type: what an integrator needs to see, and the log may show.

No values. A name too may be what somebody wrote (a question's answer as a key, an address), so only names that look
like identifiers are shown; others are counted.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from services.ingest.api import body
from services.ingest.api.problems import Refusal
from services.ingest.sources.form_body import Part, multipart, urlencoded
from services.ingest.sources.shape import Message

_NAME: Final = re.compile(r"[^\W\d][\w-]{0,39}")
_DEEPEST: Final = 6
_MOST: Final = 80
_MOST_ENTRIES: Final = 20
"""Entries of one list that are looked at."""
_TYPES: Final[Mapping[type, str]] = {
    str: "string", bool: "boolean", int: "number", float: "number", type(None): "null", dict: "object", list: "list",
}  # fmt: skip


@dataclass(slots=True)
class Fields:
    """`content`: json, urlencoded, multipart, empty or other. `names`: `path: type`, in the order in which they came.

    `unnamed`: fields whose names are not shown. `left_out`: fields beyond the first 80, or deeper than six levels.
    """

    content: str
    types: dict[str, list[str]] = field(default_factory=dict)
    unnamed: int = 0
    left_out: int = 0

    @property
    def names(self) -> list[str]:
        """For the log; a field that came with several types names them all."""
        return [f"{path}: {'|'.join(types)}" for path, types in self.types.items()]

    def add(self, path: str, kind: str) -> None:
        """One more field; nothing that a sender chose is in `path` but names that look like identifiers."""
        if path not in self.types and len(self.types) >= _MOST:
            self.left_out += 1
            return
        known = self.types.setdefault(path, [])
        if kind not in known:
            known.append(kind)

    def add_posted(self, parts: Iterable[Part]) -> None:
        """The fields of a form."""
        for part in parts:
            name = part.name.decode(errors="replace").removesuffix("[]")
            if _NAME.fullmatch(name):
                self.add(name, "file" if part.filename is not None else "text")
            else:
                self.unnamed += 1

    def walk(self, value: object, path: str = "", depth: int = 0) -> None:
        """A JSON value and what is in it."""
        if depth > _DEEPEST:
            self.left_out += 1
        elif isinstance(value, dict) and value:
            for key, member in value.items():
                if _NAME.fullmatch(key):
                    self.walk(member, f"{path}.{key}" if path else key, depth + 1)
                else:
                    self.unnamed += 1
        elif isinstance(value, list) and value:
            for entry in value[:_MOST_ENTRIES]:
                self.walk(entry, f"{path}[]", depth + 1)
        else:
            self.add(path or "(body)", _TYPES[type(value)])


def fields_of(message: Message) -> Fields:
    """Never raises: what cannot be read is `other`.

    Parameters of the address are shown as `?name`, headers of CloudEvents as `ce-name`.
    """
    found = _of_body(message.body, message.headers.get("content-type", ""))
    for prefix, names in (("?", message.query), ("", [name for name in message.headers if name.startswith("ce-")])):
        for name in names:
            if _NAME.fullmatch(name):
                found.add(f"{prefix}{name}", "text")
            else:
                found.unnamed += 1
    return found


def _of_body(raw: bytes, content_type: str) -> Fields:
    if not raw.strip():
        return Fields("empty")
    kind = content_type.partition(";")[0].strip().casefold()
    try:
        if kind == "multipart/form-data":
            found = Fields("multipart")
            found.add_posted(multipart(raw, content_type))
            return found
        if kind == "application/x-www-form-urlencoded":
            found = Fields("urlencoded")
            found.add_posted(urlencoded(raw))
            return found
        value, _ = body.parse_any(raw)
    except Refusal:
        return Fields("other")
    found = Fields("json")
    found.walk(value)
    return found
