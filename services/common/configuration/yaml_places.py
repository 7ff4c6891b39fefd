"""A YAML file as plain data together with the line of every key and value, for mistakes that say where."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

Path_ = tuple[str | int, ...]
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_DEEPEST = 40


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing to change: where it is, what is wrong with it, and what to write instead."""

    file: Path
    line: int
    path: str
    wrong: str
    expected: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}: " if self.line else f"{self.file}: "
        return f"{where}{self.path + ': ' if self.path else ''}{self.wrong}; expected {self.expected}"


@dataclass(slots=True)
class Document:
    """The data of a file and where each part of it stands."""

    file: Path
    data: Any = None
    mistakes: list[Mistake] = field(default_factory=list)
    hints: list[Mistake] = field(default_factory=list)
    _lines: dict[Path_, int] = field(default_factory=dict)

    def line(self, path: Path_) -> int:
        """The line of the innermost part of `path` that the file holds, from 1."""
        while path and path not in self._lines:
            path = path[:-1]
        return self._lines.get(path, 1)

    def mistake(self, path: Path_, wrong: str, expected: str, *, line: int | None = None) -> None:
        """Note something to change."""
        self.mistakes.append(
            Mistake(self.file, self.line(path) if line is None else line, dotted(path), wrong, expected)
        )

    def hint(self, path: Path_, noticed: str, perhaps: str) -> None:
        """Note something that is allowed and perhaps not meant."""
        self.hints.append(Mistake(self.file, self.line(path), dotted(path), noticed, perhaps))

    def place(self, path: Path_, node: yaml.Node) -> None:
        """Note on which line a part of the file starts."""
        self._lines[path] = node.start_mark.line + 1


def dotted(path: Path_) -> str:
    """`sites.bernburg.locations[0].id`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def read(file: Path) -> Document:
    """Parse a file. What is wrong with it as a file or as YAML stands in the document's `mistakes`."""
    document = Document(file)
    try:
        text = file.read_bytes().decode("utf-8-sig")
    except OSError as error:
        document.mistake((), f"cannot be read ({error.strerror})", "a YAML file that this user may read", line=0)
        return document
    except UnicodeDecodeError as error:
        document.mistake((), f"is not UTF-8 (byte {error.start})", "a file saved as UTF-8", line=0)
        return document
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            document.mistake((), "is empty", "at least organisation, sites, rules and policies")
        else:
            document.data = _value(loader, node, (), document)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        document.mistake((), f"is no YAML: {error.problem}", _instead(text, mark), line=mark.line + 1 if mark else 1)
    except yaml.YAMLError as error:
        document.mistake((), f"is no YAML: {str(error).splitlines()[0]}", "valid YAML")
    return document


def _instead(text: str, mark: yaml.Mark | None) -> str:
    """What to write where YAML cannot be read: nearly always a tab, or a text that needs quotes."""
    line = text.splitlines()[mark.line : mark.line + 1] if mark is not None else []
    if line and "\t" in line[0]:
        return "spaces instead of tabs"
    return 'valid YAML: a text with a colon, comma, bracket, quote or # in it stands in quotes, such as "Achtung: …"'


def _value(loader: Any, node: yaml.Node, path: Path_, document: Document) -> Any:
    if path not in document._lines:  # noqa: SLF001 – the document is built here
        document.place(path, node)
    if len(path) > _DEEPEST:
        document.mistake(path, "is nested too deep", "at most 40 levels, and no anchor that holds itself")
        return None
    if isinstance(node, yaml.MappingNode):
        return _mapping(loader, node, path, document)
    if isinstance(node, yaml.SequenceNode):
        return [_value(loader, one, (*path, index), document) for index, one in enumerate(node.value)]
    construct: Callable[[yaml.Node], Any] = loader.construct_object
    try:
        return construct(node)
    except ValueError:
        document.mistake(path, f"`{node.value}` is no date or number", "a real one, or text in quotes")
        return None


def _mapping(loader: Any, node: yaml.MappingNode, path: Path_, document: Document) -> dict[str, Any]:
    loader.flatten_mapping(node)
    mapping: dict[str, Any] = {}
    lines: dict[str, int] = {}
    for key_node, value_node in node.value:
        line = key_node.start_mark.line + 1
        key = key_node.value if isinstance(key_node, yaml.ScalarNode) else None
        if key is None:
            document.mistake(path, "a key is a list or mapping", "a word as key", line=line)
            continue
        inner = (*path, key)
        # YAML 1.1 takes `on` for a truth value; as a key of ours it is a word.
        ours = key == "on" and path[-1:] == ("callback",)
        if not ours and not isinstance(loader.construct_object(key_node), str):
            document.mistake(
                inner, f"YAML reads the key {key} as a number, date or truth value", f'"{key}" in quotes', line=line
            )
        elif key in mapping:
            document.mistake(inner, f"the key stands here and on line {lines[key]}", "each key once", line=line)
        document.place(inner, key_node)
        lines[key] = line
        mapping[key] = _value(loader, value_node, inner, document)
    return mapping
