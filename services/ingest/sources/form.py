"""Anything that posts fields: Typeform, Tally, Formcycle, LimeSurvey, Form.io, Power Automate, an intranet's form."""

from typing import Final

from schemas.configuration_forms import PRESETS
from schemas.configuration_sources import FormSource
from services.ingest.sender import Sender
from services.ingest.sources import signatures
from services.ingest.sources.form_reading import read, search
from services.ingest.sources.form_report import Understood, understand
from services.ingest.sources.form_values import shown
from services.ingest.sources.shape import Emitter, Ignored, Made, Message


def verify(message: Message, sender: Sender) -> None:
    """Check the signature, where the source signs; a key is checked before.

    Raises:
        Refusal: 401.
    """
    source = _source(sender)
    if source.signature is not None:
        s = source.signature
        signatures.verify_header(
            message.headers, message.body, sender.secret,
            header=s.header, algorithm=s.algorithm, encoding=s.encoding, prefix=s.prefix,
        )  # fmt: skip
    elif source.preset is not None:
        known = PRESETS[source.preset]
        signatures.verify_header(
            message.headers, message.body, sender.secret, header=known.header, encoding="base64", prefix=known.prefix
        )


def explain(message: Message, sender: Sender) -> Understood | Ignored:
    """The report in a form's message, and how its fields came about; or why it is none.

    Raises:
        Refusal: 400, 415, 422; a press for nothing.
    """
    source = _source(sender)
    preset = PRESETS[source.preset] if source.preset else None
    roots = (source.fields,) if source.fields else preset.fields if preset else ()
    submission = read(message, sender, roots)
    only = source.only or (preset.only if preset else None)
    key = message.headers.get("idempotency-key")
    if preset is not None and "id" not in source.map:
        key = shown(search(preset.id, submission.document)) or None
    return understand(submission, sender, source.map, source.ignore, only=only, key=key, at=message.received_at)


def parse(message: Message, sender: Sender) -> list[Made]:
    """One report, or the named reason why there is none.

    Raises:
        Refusal: as `explain`.
    """
    understood = explain(message, sender)
    return [understood if isinstance(understood, Ignored) else understood.event]


def _source(sender: Sender) -> FormSource:
    assert isinstance(sender.source, FormSource)
    return sender.source


EMITTER: Final = Emitter(parse, verify)
