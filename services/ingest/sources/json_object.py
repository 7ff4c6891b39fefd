"""The JSON object in a message; a press is taken whatever its content type says, if only it is JSON."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from schemas.report_warnings import warning
from services.ingest.api import body
from services.ingest.api.problems import Refusal, quoted
from services.ingest.sender import Sender
from services.ingest.sources.shape import Message

_MOST_REPEATED: Final = 5
"""Repeated keys that are named in a press's warnings."""


def json_object(message: Message, sender: Sender) -> tuple[Mapping[str, Any], tuple[str, ...]]:
    """The object, and warnings about it.

    Raises:
        Refusal: 400 for what is no JSON, 415 for what is declared as something else, 422 for JSON that is no object;
            400 for keys that stand in it twice, but not for a press.
    """
    unsuitable: Refusal | None = None
    if message.headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
        unsuitable = Refusal(415, "The body is compressed. Send it without Content-Encoding.")
    elif not body.is_json(message.headers.get("content-type")):
        unsuitable = Refusal(415, "The body is not declared as JSON. Send Content-Type: application/json.")
    if unsuitable is not None and not sender.lenient:
        raise unsuitable
    try:
        parsed = body.parse(message.body)
    except Refusal:
        if unsuitable is not None:
            raise unsuitable from None
        raise
    return parsed.value, doubts(parsed.repeated, sender)


def doubts(repeated: Sequence[str], sender: Sender) -> tuple[str, ...]:
    """Warnings about keys that stood in an object more than once.

    Raises:
        Refusal: 400, but not for a press.
    """
    if not repeated:
        return ()
    if not sender.lenient:
        body.refuse_repeated(repeated)
    return tuple(warning("repeated_key", value=quoted(key)) for key in repeated[:_MOST_REPEATED])
