"""The one place where events become Kafka records and back: CloudEvents 1.0 in binary mode.

Written by hand because the `cloudevents` package turns malformed JSON in binary mode into a string
instead of an error (docs/adr/0004-own-codec.md).
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple

from pydantic import TypeAdapter, ValidationError
from pydantic_core import to_json

from schemas.events import DATA_TYPES, Data, Event, is_in_range
from schemas.lifecycle import ALWAYS_SAID, Change, Lifecycle

Headers = Sequence[tuple[str, bytes]]

_TIME: TypeAdapter[datetime] = TypeAdapter(datetime)
_SOMETIMES_SAID = tuple(name for name in Lifecycle.model_fields if name not in ALWAYS_SAID)
_JSON = ("content-type", b"application/json")
_CHANGES = {change.type: change for change in Change}


class Unreadable(ValueError):
    """A record that is no event of ours; the message says what is wrong and what was expected."""


class Record(NamedTuple):
    """Key, value and headers as the Kafka client takes them."""

    key: bytes
    value: bytes
    headers: tuple[tuple[str, bytes], ...]


@lru_cache(maxsize=256)
def _always(source: str, type_: str) -> Headers:
    """What all events of one kind from one source have in common."""
    return (("ce_specversion", b"1.0"), ("ce_source", source.encode()), ("ce_type", type_.encode()))


def _common(source: str, type_: str, time: datetime) -> Headers:
    return *_always(source, type_), ("ce_time", time.astimezone(UTC).isoformat().encode()), _JSON


_common_of_changes = lru_cache(maxsize=32)(_common)
"""Many changes of one kind in a commit have all of this in common."""


def _envelope(event_id: str, subject: str | None, common: Headers) -> tuple[tuple[str, bytes], ...]:
    if subject is None:
        return ("ce_id", event_id.encode()), *common
    return ("ce_id", event_id.encode()), *common, ("ce_subject", subject.encode())


def encode(event: Event) -> Record:
    """An event as a record for `incidents.events`, keyed by site, else by the incident (or its own id)."""
    site = event.data.site
    key = site or event.subject or event.id
    headers = _envelope(event.id, event.subject, _common(event.source, event.type, event.time))
    if event.imported:
        headers = *headers, ("ce_rufketteimport", b"true")
    return Record(key.encode(), to_json(event.data, exclude_none=True), headers)


def encode_lifecycle(change_id: str, change: Change, time: datetime, data: Lifecycle) -> Record:
    """A lifecycle event as a record for `incidents.lifecycle`, keyed by site as its reports are, else by incident."""
    headers = _envelope(change_id, data.incident_id, _common_of_changes("alerting", change.type, time))
    if data.site is None or data.danger_level is None:  # `ALWAYS_SAID`
        value = to_json(data, exclude={name for name in _SOMETIMES_SAID if getattr(data, name) is None})
    else:
        value = to_json(data, exclude_none=True)
    return Record((data.site or data.incident_id).encode(), value, headers)


def _attributes(headers: Iterable[tuple[str, bytes]]) -> dict[str, str]:
    attributes: dict[str, str] = {}
    for name, value in headers:
        if name.startswith("ce_") and value is not None:
            try:
                attributes[name[3:]] = value.decode()
            except UnicodeDecodeError:
                raise Unreadable(f"header {name} is not UTF-8") from None
    if attributes.get("specversion") != "1.0":
        raise Unreadable("header ce_specversion is missing or not 1.0")
    for required in ("id", "source", "type"):
        if not attributes.get(required):
            raise Unreadable(f"header ce_{required} is missing")
    return attributes


def _time(attributes: dict[str, str], otherwise: datetime) -> datetime:
    raw = attributes.get("time")
    if raw is None:
        return otherwise
    try:
        time = _TIME.validate_strings(raw)
    except ValidationError:
        raise Unreadable("header ce_time is not an RFC 3339 time") from None
    if time.tzinfo is None:
        raise Unreadable("header ce_time has no offset, expected RFC 3339 such as 2026-01-05T09:12:33+01:00")
    if not is_in_range(time):
        raise Unreadable("header ce_time is out of range, expected a year from 1970 to 2899")
    return time.astimezone(UTC)


def explain(error: ValidationError) -> str:
    """What is wrong, where – without the values, which may be personal data."""
    return "; ".join(
        f"{'.'.join(map(str, e['loc'])) or 'value'}: {e['msg']}" for e in error.errors(include_input=False)
    )


def decode(headers: Headers, value: bytes | None, *, arrived_at: datetime) -> Event:
    """The event in a record. `arrived_at` stands in for a missing `ce_time`.

    Raises:
        Unreadable: an unknown type, a missing attribute, or data that does not fit its type.
    """
    attributes = _attributes(headers)
    model = DATA_TYPES.get(attributes["type"])
    if model is None:
        raise Unreadable(f"unknown type, expected one of {', '.join(DATA_TYPES)}")
    try:
        data: Data = model.model_validate_json(value or b"")
        return Event(
            id=attributes["id"],
            source=attributes["source"],
            time=_time(attributes, arrived_at),
            data=data,
            subject=attributes.get("subject"),
            imported=attributes.get("rufketteimport") == "true",
        )
    except ValidationError as error:
        raise Unreadable(explain(error)) from None


def decode_lifecycle(headers: Headers, value: bytes | None) -> tuple[Change, Lifecycle]:
    """The change in a record of `incidents.lifecycle`.

    Raises:
        Unreadable: a type that this version does not know, or data that does not fit.
    """
    attributes = _attributes(headers)
    change = _CHANGES.get(attributes["type"])
    if change is None:
        raise Unreadable("unknown lifecycle type")
    try:
        return change, Lifecycle.model_validate_json(value or b"")
    except ValidationError as error:
        raise Unreadable(explain(error)) from None
