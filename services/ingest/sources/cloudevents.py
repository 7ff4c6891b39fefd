"""CloudEvents 1.0 over HTTP: structured, binary and batched mode, with the event types of the contract.

Parsed here, because the `cloudevents` package turns malformed JSON in binary mode into a string instead of an error
(docs/adr/0004-own-codec.md). Formats: https://github.com/cloudevents/spec, HTTP binding 1.0.2 and JSON format 1.0.2.
"""

import base64
import binascii
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import unquote

from services.ingest.api import body
from services.ingest.api.problems import Refusal
from services.ingest.sender import Sender
from services.ingest.sources.cloudevent_data import Envelope, understood
from services.ingest.sources.json_object import doubts
from services.ingest.sources.shape import Emitter, Made, Message

STRUCTURED: Final = "application/cloudevents+json"
BATCH: Final = "application/cloudevents-batch+json"
_MOST: Final = 200
"""Events in a batch."""
_ATTRIBUTES: Final = 40
"""Attributes of an event that are looked at; more are none of a sender's that means well."""


@dataclass(frozen=True, slots=True)
class Received:
    """The events of one request; `batched`: the answer is a list, also for one event."""

    events: Sequence[Made]
    batched: bool


def receive(message: Message, sender: Sender) -> Received:
    """Every event of the request, or none: a batch is taken or refused as a whole.

    Raises:
        Refusal: 400 for what is no JSON, 415 for another content type, 403 for event types that the source may not
            send, 422 with one entry per fault, each with the event's number in its pointer. A press is not refused
            for its content.
    """
    kind = message.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == BATCH:
        value, repeated = body.parse_any(message.body)
        if not (sender.lenient and isinstance(value, dict)):
            return Received(understood(_batch(value, repeated, sender), sender, message.received_at), batched=True)
    return Received(understood([_single(message, kind, sender)], sender, message.received_at), batched=False)


def _single(message: Message, kind: str, sender: Sender) -> Envelope:
    if kind != STRUCTURED and "ce-specversion" in message.headers:
        return _binary(message, kind, sender)
    parsed = body.parse(message.body)
    if kind != STRUCTURED and "specversion" not in parsed.value and not sender.lenient:
        raise Refusal(
            415,
            f"This is no CloudEvent. Send Content-Type: {STRUCTURED} with the whole event as JSON, {BATCH} with a list "
            "of events, or the headers ce-specversion, ce-id, ce-source and ce-type with the data as JSON body.",
        )
    return _structured(parsed.value, "", doubts(parsed.repeated, sender))


def _batch(value: object, repeated: Sequence[str], sender: Sender) -> list[Envelope]:
    warnings = doubts(repeated, sender)
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        raise Refusal(422, "A batch is a JSON array of events (JSON objects).")
    if not 1 <= len(value) <= _MOST:
        raise Refusal(422, f"A batch holds 1 to {_MOST} events, this one {len(value)}.")
    return [_structured(one, f"/{number}", warnings) for number, one in enumerate(value)]


def _structured(event: Mapping[str, Any], place: str, warnings: tuple[str, ...]) -> Envelope:
    attributes = dict(list(event.items())[:_ATTRIBUTES])
    data = attributes.pop("data", None)
    encoded = attributes.pop("data_base64", None)
    if data is None and isinstance(encoded, str):
        data = _decoded(encoded)
    return Envelope(attributes, data, place, warnings)


def _decoded(encoded: str) -> object:
    """JSON that a library sent as bytes; None for anything else, which is then missing."""
    try:
        return body.parse_any(base64.b64decode(encoded, validate=True))[0]
    except (binascii.Error, ValueError, Refusal):
        return None


def _from_headers(headers: Mapping[str, str]) -> dict[str, Any]:
    """Header values are percent-encoded, and may stand in quotes."""
    found = [(name[3:], value) for name, value in headers.items() if name.startswith("ce-")][:_ATTRIBUTES]
    return {name: unquote(value.strip().strip('"'), errors="replace") for name, value in found}


def _binary(message: Message, kind: str, sender: Sender) -> Envelope:
    if kind and not body.is_json(kind) and not sender.lenient:
        raise Refusal(415, "The event's data is not declared as JSON. Send Content-Type: application/json.")
    value, repeated = body.parse_any(message.body)
    return Envelope(_from_headers(message.headers), value, "", doubts(repeated, sender))


def _parse(message: Message, sender: Sender) -> Sequence[Made]:
    received = receive(message, sender)
    if received.batched:
        raise Refusal(415, "Post batches to /v1/events.")
    return received.events


EMITTER: Final = Emitter(_parse)
