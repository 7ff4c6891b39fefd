"""Events as lines of text: one structured CloudEvent (JSON) a line, as `EVENTS.jsonl` holds them.

Stricter than reading from Kafka: a person or a script wrote the file for us, so a misspelt field is a mistake to be
told and not something of a later version to be passed over.
"""

import json
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Any, Final, NoReturn

from pydantic import ValidationError

from schemas.codec import Unreadable
from schemas.events import ACKNOWLEDGED, CLOSED, DATA_TYPES, HANDED_OVER, POLICE_REQUESTED, Data, Event

IMPORT_MARK: Final = "rufketteimport"
_NAMES: Final = ("specversion", "id", "source", "type", "time", "subject", "datacontenttype", "dataschema", IMPORT_MARK)
_OF_AN_INCIDENT: Final = frozenset({ACKNOWLEDGED, POLICE_REQUESTED, HANDED_OVER, CLOSED})
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?([Zz]|[+-]\d\d:\d\d)")
_A_TIME: Final = "RFC 3339 with offset such as 2026-01-05T09:12:33+01:00"
_EXPECTED: Final = re.compile(r"^(Value error, |Input should (be |have )?)")
"""What pydantic's messages begin with, before they name what is expected."""
_TEXTS: Final = ("id", "source", "type", "subject", "datacontenttype")


class UnreadableLine(Unreadable):
    """A line of a file that is no event of ours; `line` counts from 1, `why` says what is wrong and expected."""

    def __init__(self, line: int, why: str) -> None:
        self.line, self.why = line, why
        super().__init__(f"line {line}: {why}")


def parse_lines(lines: Iterable[bytes]) -> Iterator[tuple[int, Event]]:
    """The events of a file opened in binary mode, each with its line from 1; empty lines are passed over.

    Raises:
        UnreadableLine: at the first line that is no event.
    """
    for number, raw in enumerate(lines, 1):
        try:
            text = raw.decode("utf-8-sig" if number == 1 else "utf-8").strip()
        except UnicodeDecodeError:
            raise UnreadableLine(number, "is not UTF-8; expected text in UTF-8") from None
        if text:
            try:
                yield number, parse_line(text)
            except Unreadable as error:
                raise UnreadableLine(number, str(error)) from None


def parse_line(text: str) -> Event:
    """The event in one line.

    Raises:
        Unreadable: the line is no structured CloudEvent, an attribute is missing, or the data does not fit its type
            or has fields that the type does not know. The message says where, what is wrong and what is expected,
            without values (which may be personal data).
    """
    found = _object(text)
    model = _model(found)
    data = found.get("data")
    if not isinstance(data, dict):
        _refuse("data", "is missing or no object", "the event's fields as a JSON object")
    _refuse_unknown(data, model)
    try:
        return Event(
            id=found["id"],
            source=found["source"],
            time=_time(found.get("time")),
            data=model.model_validate(data),
            subject=_subject(found),
            imported=_mark(found.get(IMPORT_MARK, False)),
        )
    except ValidationError as error:
        raise Unreadable(_explained(error)) from None


def to_line(event: Event) -> str:
    """The event as one line without a line end; `parse_line` gives the same event back."""
    line: dict[str, Any] = {
        "specversion": "1.0",
        "id": event.id,
        "source": event.source,
        "type": event.type,
        "time": event.time.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "datacontenttype": "application/json",
    }
    if event.subject is not None:
        line["subject"] = event.subject
    if event.imported:
        line[IMPORT_MARK] = True
    line["data"] = event.data.model_dump(mode="json", exclude_none=True)
    # Characters at which some readers end a line (U+2028) stay escaped; umlauts stay readable.
    text = json.dumps(line, ensure_ascii=False, separators=(",", ":"))
    return re.sub("[\x7f-\x9f\u2028\u2029]", lambda match: f"\\u{ord(match[0]):04x}", text)


def _refuse(path: str, wrong: str, expected: str) -> NoReturn:
    raise Unreadable(f"{path}: {wrong}; expected {expected}" if path else f"{wrong}; expected {expected}")


def _object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text, object_pairs_hook=_each_once, parse_constant=_no_number)
    except Unreadable:
        raise
    except json.JSONDecodeError as error:
        _refuse("", f"is no JSON: {error.msg} at character {error.pos + 1}", "one JSON object on the line")
    except (ValueError, RecursionError):
        _refuse("", "is no JSON that can be read", "one JSON object on the line")
    if not isinstance(found, dict):
        _refuse("", "is no JSON object", 'one CloudEvent on the line, {"specversion":"1.0","id":…,"data":{…}}')
    return found


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        _refuse(_shown(twice), "stands twice", "each name once")
    return found


def _no_number(constant: str) -> NoReturn:
    _refuse("", f"{constant} is no JSON", "a number")


def _model(found: dict[str, Any]) -> type[Data]:
    """What the data must look like, once the attributes that name it are there."""
    if found.get("specversion") != "1.0":
        _refuse("specversion", "is missing or not 1.0", '"specversion":"1.0"')
    for name in _TEXTS:
        value = found.get(name)
        if value is None and name in {"id", "source", "type"}:
            close = next((key for key in get_close_matches(name, found) if key not in _NAMES), None)
            _refuse(name, "is missing" + (f" (is {_shown(close)} meant for it?)" if close else ""), "a text")
        if value is not None and not isinstance(value, str):
            _refuse(name, "is no text", "a text")
    if "data_base64" in found:
        _refuse("data_base64", "is not taken", "data as a JSON object")
    content = found.get("datacontenttype") or "application/json"
    if content.partition(";")[0].strip().casefold() != "application/json":
        _refuse("datacontenttype", "is not taken", "application/json")
    model = DATA_TYPES.get(found["type"])
    if model is None:
        close = next(iter(get_close_matches(found["type"], DATA_TYPES, cutoff=0.8)), None)
        _refuse("type", "is not known", f"{close} perhaps" if close else f"one of {', '.join(DATA_TYPES)}")
    return model


def _refuse_unknown(data: dict[str, Any], model: type[Data]) -> None:
    known = model.model_fields
    for name in data:
        if name not in known:
            close = next(iter(get_close_matches(name, known)), None)
            _refuse(f"data.{_shown(name)}", "unknown field", f"{close} perhaps" if close else ", ".join(known))


def _time(value: object) -> datetime:
    if not isinstance(value, str) or not _TIME.fullmatch(value):
        _refuse("time", "is missing" if value is None else "is no time", _A_TIME)
    try:
        return datetime.fromisoformat(value.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        _refuse("time", "does not exist", _A_TIME)


def _subject(found: dict[str, Any]) -> str | None:
    subject: str | None = found.get("subject")
    if not subject and found["type"] in _OF_AN_INCIDENT:
        _refuse("subject", "is missing", "the id of the incident, which is the event id of its first report")
    return subject


def _mark(value: object) -> bool:
    if not isinstance(value, bool):
        _refuse(IMPORT_MARK, "is neither true nor false", "true or false")
    return value


def _explained(error: ValidationError) -> str:
    mistakes = []
    for one in error.errors(include_input=False, include_url=False):
        inside = error.title != "Event"
        path = ".".join(map(str, (("data",) if inside else ()) + one["loc"]))
        mistakes.append(f"{path}: does not fit; expected {_EXPECTED.sub('', one['msg'])}")
    return "; ".join(mistakes)


def _shown(name: str) -> str:
    return ascii(name[:40])[1:-1] if not name.isprintable() else name[:40]
