"""Rufkette's own report body, as `/v1/incidents` documents it."""

from typing import Final

from services.ingest.reports import report
from services.ingest.sender import Sender
from services.ingest.sources.json_object import json_object
from services.ingest.sources.shape import Emitter, Made, Message


def parse(message: Message, sender: Sender) -> list[Made]:
    """One report.

    Raises:
        Refusal: 400, 415, 422; a press only for what is no JSON object.
    """
    parsed, warnings = json_object(message, sender)
    key = message.headers.get("idempotency-key")
    return [report(parsed, sender, received_at=message.received_at, idempotency_key=key, warnings=warnings)]


EMITTER: Final = Emitter(parse)
