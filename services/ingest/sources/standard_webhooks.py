"""Standard Webhooks (https://www.standardwebhooks.com): Formbricks and whoever else signs like this."""

from collections.abc import Mapping
from typing import Any, Final

from schemas.configuration_sources import StandardWebhooksSource
from services.ingest.api.problems import Fault, Refusal
from services.ingest.reports import report
from services.ingest.sender import Sender
from services.ingest.sources import signatures
from services.ingest.sources.form_reading import read
from services.ingest.sources.form_report import NOT_WANTED, Understood, fitting, judged, understand
from services.ingest.sources.shape import Emitter, Ignored, Made, Message


def verify(message: Message, sender: Sender) -> None:
    """Check signature and time.

    Raises:
        Refusal: 401.
    """
    signatures.verify_standard(message.headers, message.body, sender.secret, message.received_at)


def explain(message: Message, sender: Sender) -> Understood | Ignored:
    """The report in a message, and how its fields came about; or why it is none.

    Raises:
        Refusal: 400, 415, 422; a press for nothing.
    """
    source = sender.source
    assert isinstance(source, StandardWebhooksSource)
    submission = read(message, sender, (source.fields,) if source.fields else ())
    key = fitting(message.headers.get("webhook-id") or None)  # the same when it is delivered again
    if source.map is not None:
        return understand(
            submission, sender, source.map, source.ignore, only=source.only, key=key, at=message.received_at
        )
    doubts = judged(source.only, submission)
    if doubts is None:
        return Ignored(NOT_WANTED)
    body, warnings = _data(submission.document, sender)
    warnings = (*submission.warnings, *doubts, *warnings)
    try:
        event = report(body, sender, received_at=message.received_at, idempotency_key=key, warnings=warnings)
    except Refusal as refusal:
        there = [fault.within("/data") for fault in refusal.errors]
        raise Refusal(refusal.status, refusal.detail, errors=there) from None
    return Understood(event, None)


def _data(document: Mapping[str, Any], sender: Sender) -> tuple[Mapping[str, Any], tuple[str, ...]]:
    data = document.get("data")
    if isinstance(data, dict):
        return data, ()
    if sender.lenient:
        return {}, ("the message has no `data` with a report",)
    fault = Fault("/data", "is no object", 'a report such as {"site": "…"}; or a `map` in the source\'s configuration')
    raise Refusal(422, "The message has no report.", errors=[fault])


def parse(message: Message, sender: Sender) -> list[Made]:
    """One report, or the named reason why there is none.

    Raises:
        Refusal: as `explain`.
    """
    understood = explain(message, sender)
    return [understood if isinstance(understood, Ignored) else understood.event]


EMITTER: Final = Emitter(parse, verify)
