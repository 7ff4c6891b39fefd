"""What a CloudEvent says: its attributes and data checked, strictly but for a press."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from difflib import get_close_matches
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from schemas.configuration_sources import CloudeventsSource
from schemas.events import (
    DATA_TYPES,
    EMERGENCY_MAILED,
    HEARTBEAT,
    PROBE,
    REPORTED,
    Data,
    Event,
    HandedOver,
    Heartbeat,
    Outcome,
    event_id,
)
from schemas.report_warnings import warning
from services.ingest.api.problems import Fault, Refusal, pointer
from services.ingest.report_body import EXPECTED, Time
from services.ingest.reports import is_too_long_ago, report, storable
from services.ingest.sender import Sender
from services.ingest.sources.shape import Made

IMPORT_MARK: Final = "rufketteimport"
_SHORT: Final = {name.split(".")[2]: name for name in DATA_TYPES if name not in (EMERGENCY_MAILED, PROBE)}
"""`acknowledged` for `rufkette.incident.acknowledged.v1`, as a source's `may` names it."""
_OTHERS_MAY: Final = ("reported", "heartbeat")
_LONGEST_ID: Final = 128
_TIME: Final[TypeAdapter[Any]] = TypeAdapter(Time)
_EXPECTED: Final = EXPECTED | {
    "by": "the name of a person, 1 to 200 characters",
    "outcome": f"one of {', '.join(Outcome)}",
    "note": "a string of at most 20,000 characters",
    "measures": "a list of strings, each of 1 to 200 characters",
    "on": "a date such as 2026-01-05",
    "battery": "a number from 0 to 1",
}
_WITHOUT_SUBJECT: Final = frozenset({REPORTED, HEARTBEAT})


@dataclass(frozen=True, slots=True)
class Envelope:
    """One event as it came: `place` is its JSON pointer, empty outside of a batch; `warnings` are about its JSON."""

    attributes: Mapping[str, Any]
    data: object
    place: str
    warnings: tuple[str, ...] = ()


@dataclass(slots=True)
class _Faults:
    """What is wrong with the whole request; `forbidden` counts types that the source may not send."""

    found: list[Fault] = field(default_factory=list)
    forbidden: int = 0

    def add(self, place: str, detail: str, expected: str) -> None:
        self.found.append(Fault(place, detail, expected))


def understood(envelopes: Sequence[Envelope], sender: Sender, received_at: datetime) -> list[Made]:
    """The events, in their order.

    Raises:
        Refusal: 403 when types that the source may not send are all that is wrong, else 422 with one entry per fault.
    """
    faults = _Faults()
    events: list[Made] = [event for one in envelopes if (event := _event(one, sender, received_at, faults)) is not None]
    if faults.found:
        if faults.forbidden == len(faults.found):
            raise Refusal(403, "The source may not send events of this type.", errors=faults.found)
        raise Refusal(422, "The event does not fit; everything wrong is listed.", errors=faults.found)
    return events


def _event(envelope: Envelope, sender: Sender, received_at: datetime, faults: _Faults) -> Event | None:
    before = len(faults.found)
    kind = _kind(envelope, sender, faults)
    warnings = list(envelope.warnings)
    attributes = _attributes(envelope, sender, faults, warnings)
    if kind is None:
        return None
    identity = attributes.get("id") or None
    at = _time(envelope, sender, received_at, faults, warnings)
    if kind == REPORTED:
        return _report(envelope, sender, identity, at, received_at, faults, before, tuple(warnings))
    subject = _subject(envelope, kind, faults)
    data = _data(envelope, DATA_TYPES[kind], sender, faults)
    if isinstance(data, HandedOver) and data.on is not None and data.on > sender.sites.today(received_at):
        faults.add(envelope.place + "/data/on", "lies in the future", "today or an earlier day")
    if data is None or len(faults.found) > before:
        return None
    return Event(id=event_id(sender.name, identity), source=sender.name, time=at, data=data, subject=subject)


def _kind(envelope: Envelope, sender: Sender, faults: _Faults) -> str | None:
    """The full type; what a panic source sends is a press unless it says clearly that it is something else."""
    stated = envelope.attributes.get("type")
    may = sender.source.may if isinstance(sender.source, CloudeventsSource) else _OTHERS_MAY
    known = stated if isinstance(stated, str) and stated in DATA_TYPES else None
    if known in {_SHORT[name] for name in may}:
        return known
    if known is None and sender.lenient:
        return REPORTED
    allowed = ", ".join(_SHORT[name] for name in may)
    if known is not None:
        faults.forbidden += 1
        more = "more under `may`" if isinstance(sender.source, CloudeventsSource) else "a source of type cloudevents"
        faults.add(envelope.place + "/type", "may not be sent by this source", f"one of {allowed}, or {more}")
    else:
        close = get_close_matches(stated, _SHORT.values(), n=1, cutoff=0.8) if isinstance(stated, str) else []
        wrong = "is missing" if stated is None else "is not known"
        faults.add(envelope.place + "/type", wrong, f"{close[0]} perhaps" if close else f"one of {allowed}")
    return None


def _attributes(envelope: Envelope, sender: Sender, faults: _Faults, warnings: list[str]) -> dict[str, str]:
    """`id`, `source` and `specversion`, as far as they fit."""
    found: dict[str, str] = {}
    for name in ("specversion", "id", "source"):
        value = envelope.attributes.get(name)
        wrong = None
        if not isinstance(value, str) or not value:
            wrong = ("is missing" if value is None else "is no text", "a text")
        elif name == "specversion" and value != "1.0":
            wrong = ("is not 1.0", "1.0")
        elif name == "id" and (len(value) > _LONGEST_ID or storable(value) != value):
            wrong = ("does not fit", f"1 to {_LONGEST_ID} characters")
        else:
            found[name] = value
        if wrong and sender.lenient:
            warnings.append(warning("event_attribute", field=name, detail=wrong[0]))
        elif wrong:
            faults.add(f"{envelope.place}/{name}", *wrong)
    if envelope.attributes.get(IMPORT_MARK) not in (None, False, "false"):
        if sender.lenient:
            warnings.append(warning("import_mark", field=IMPORT_MARK))
        else:
            faults.add(f"{envelope.place}/{IMPORT_MARK}", "may only be set by `rufkette import`", "nothing")
    return found


def _time(envelope: Envelope, sender: Sender, received_at: datetime, faults: _Faults, warnings: list[str]) -> datetime:
    """When the sender learnt of it; never later than now."""
    stated = envelope.attributes.get("time")
    if stated is None:
        return received_at
    try:
        at: datetime = _TIME.validate_python(stated)
    except ValidationError:
        if sender.lenient:
            warnings.append(warning("event_time"))
        else:
            faults.add(envelope.place + "/time", "is no time", "RFC 3339 with offset such as 2026-01-05T09:12:33+01:00")
        return received_at
    if is_too_long_ago(at, received_at, sender.source.kind):
        if sender.lenient:
            warnings.append(warning("event_too_old"))
        else:
            faults.add(envelope.place + "/time", "is too long ago", "a time since 2000")
        return received_at
    return min(at, received_at)


def _subject(envelope: Envelope, kind: str, faults: _Faults) -> str | None:
    subject = envelope.attributes.get("subject")
    if kind in _WITHOUT_SUBJECT:
        return None
    if not isinstance(subject, str) or not 1 <= len(subject) <= 200 or storable(subject) != subject:
        faults.add(envelope.place + "/subject", "is missing" if not subject else "does not fit",
                   "the id of the incident, which is the event id of its first report")  # fmt: skip
        return None
    return subject


def _report(
    envelope: Envelope, sender: Sender, identity: str | None, at: datetime, received_at: datetime, faults: _Faults,
    before: int, warnings: tuple[str, ...],
) -> Event | None:  # fmt: skip
    data = envelope.data
    if not isinstance(data, Mapping):
        if not sender.lenient:
            faults.add(envelope.place + "/data", "is missing or no object", "a report as for /v1/incidents")
            return None
        # Not an event of ours at all, but from a button: whatever it says, somebody pressed.
        data, warnings = {}, (*warnings, warning("no_data"))
    try:
        made = report(data, sender, received_at=received_at, idempotency_key=identity, warnings=warnings)
    except Refusal as refusal:
        faults.found += [fault.within(f"{envelope.place}/data") for fault in refusal.errors]
        return None
    return made.model_copy(update={"time": at}) if len(faults.found) == before else None


def _data(envelope: Envelope, model: type[Data], sender: Sender, faults: _Faults) -> Data | None:
    place = envelope.place + "/data"
    if not isinstance(envelope.data, Mapping):
        faults.add(place, "is missing or no object", "the event's fields as a JSON object")
        return None
    unknown = [name for name in envelope.data if name not in model.model_fields]
    for name in unknown:
        faults.add(place + pointer(name), "is not a known field", f"one of {', '.join(model.model_fields)}")
    try:
        data = model.model_validate(dict(envelope.data))
    except ValidationError as error:
        for one in error.errors(include_url=False, include_input=False, include_context=False):
            said = "is missing" if one["type"] == "missing" else one["msg"].removeprefix("Value error, ")
            expected = _EXPECTED.get(str(one["loc"][0]), "a value that fits")
            faults.add(place + pointer(*one["loc"]), said, expected)
        return None
    if data.site is not None and sender.sites.exactly(data.site) is None:
        faults.add(place + "/site", "is unknown", sender.sites.expectation)
    if isinstance(data, Heartbeat) and (known := sender.device(data.device_id)) is not None:
        return data.model_copy(update={"device_id": known.device_id, "site": known.device.site})
    return data if not unknown else None
