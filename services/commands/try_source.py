"""What `rufkette try-source` does: a source's message is understood as ingest would, and nothing is sent."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from schemas.configuration_sources import MqttSource
from services.common.configuration import file as configuration_file
from services.ingest.api import body
from services.ingest.api.problems import Refusal
from services.ingest.learning import marked
from services.ingest.sender import Sender, secret_of, sites_of
from services.ingest.sources import form, standard_webhooks
from services.ingest.sources.form_map import Applied
from services.ingest.sources.form_report import FormRefusal, Understood
from services.ingest.sources.registry import EMITTERS
from services.ingest.sources.shape import Emitter, Ignored, Made, Message

_EXPLAINED: Final[Mapping[str, Callable[[Message, Sender], Understood | Ignored]]] = {
    "form": form.explain,
    "standard-webhooks": standard_webhooks.explain,
}
_MQTT: Final = "MQTT"
"""Stands for the HTTP method in what came from a broker."""


class Untried(Exception):
    """The message cannot be tried: there is no such source, no such file, or not all of the message."""


@dataclass(frozen=True, slots=True)
class Tried:
    """What became of the message.

    `signature`: in words. `made`: what ingest would publish, or why nothing; empty after a refusal. `applied`: how the
    fields of a form became the report.
    """

    source: str
    type: str
    kind: str
    signature: str
    made: tuple[Made, ...] = ()
    refusal: Refusal | None = None
    applied: Applied | None = None

    @property
    def ignored(self) -> str | None:
        """Why the message is no report, if it is none."""
        return next((one.reason for one in self.made[:1] if isinstance(one, Ignored)), None)

    @property
    def exit_code(self) -> int:
        """0: an event, 1: refused, 3: ignored."""
        return 1 if self.refusal else 3 if self.ignored else 0


def try_source(name: str, config: Path, message: Message, *, skip_signature: bool) -> Tried:
    """Understand a message.

    Args:
        name: of a source in the configuration.
        config: the configuration.
        message: as the sender would send it. That its key is right is taken for granted.
        skip_signature: take for granted, too, that it is signed.

    Raises:
        Untried: there is no such source; it is of type `mqtt` and no topic is given, or the other way round.
        ConfigurationError: the configuration has mistakes, or the source's secret cannot be read.
    """
    configuration = configuration_file.load(config)
    source = configuration.sources.get(name)
    if source is None:
        raise Untried(
            f"there is no source `{name}` in {config}; there are {', '.join(configuration.sources) or 'none'}"
        )
    over_mqtt = isinstance(source, MqttSource)
    if over_mqtt and message.method != _MQTT:
        raise Untried(f"source `{name}` is of type mqtt: say with --topic to which topic the message was published")
    if message.method == _MQTT and not over_mqtt:
        raise Untried(f"source `{name}` is of type {source.type}: only messages to a source of type mqtt have a topic")
    emitter = EMITTERS[source.type]
    checked = emitter.verify is not None and source.key is None and not skip_signature
    sender = Sender(name, source, sites_of(configuration), secret_of(name, source, config) if checked else b"")
    unsigned = "none; the broker says who may publish" if over_mqtt else "none; the source shows a key"
    signature = "skipped" if skip_signature else "valid" if checked else unsigned
    about = (name, source.type, str(source.kind))
    try:
        _check_request(message, emitter)
    except Refusal as refusal:
        return Tried(*about, "not looked at", refusal=refusal)
    try:
        if checked and emitter.verify is not None:
            emitter.verify(message, sender)
    except Refusal as refusal:
        return Tried(*about, "refused", refusal=refusal)
    try:
        made, applied = _understood(message, sender, emitter)
    except Refusal as refusal:
        return Tried(
            *about, signature, refusal=refusal, applied=refusal.applied if isinstance(refusal, FormRefusal) else None
        )
    return Tried(*about, signature, tuple(marked(made, sender)), applied=applied)


def _check_request(message: Message, emitter: Emitter) -> None:
    if message.method == _MQTT:
        return  # how long a message may be is the broker's business
    if len(message.body) > body.LIMIT:
        raise Refusal(413, f"The body is larger than {body.LIMIT} bytes (64 KiB).")
    if message.method not in emitter.methods:
        raise Refusal(405, f"This source sends with {', '.join(sorted(emitter.methods))}, not {message.method}.")


def _understood(message: Message, sender: Sender, emitter: Emitter) -> tuple[Sequence[Made], Applied | None]:
    explain = _EXPLAINED.get(sender.source.type)
    if explain is None:
        return emitter.parse(message, sender), None
    understood = explain(message, sender)
    return ([understood], None) if isinstance(understood, Ignored) else ([understood.event], understood.applied)


def message_from(
    content: bytes,
    *,
    headers: Mapping[str, str],
    content_type: str | None,
    method: str,
    query: Mapping[str, str],
    rest: str,
    topic: str | None,
) -> Message:
    """The message that a sender would send now; with a `topic` over MQTT, where there is nothing else."""
    if topic is not None:
        return Message(content, datetime.now(UTC), method=_MQTT, rest=topic)
    given = {name.lower(): value for name, value in headers.items()}
    if content_type is not None:
        given["content-type"] = content_type
    return Message(content, datetime.now(UTC), method.upper(), given, query, rest)


def as_json(tried: Tried) -> str:
    """For programs: `outcome` is `event`, `ignored` or `refused`."""
    answer: dict[str, Any] = {
        "source": tried.source,
        "type": tried.type,
        "kind": tried.kind,
        "signature": tried.signature,
        "outcome": "refused" if tried.refusal else "ignored" if tried.ignored else "event",
        "events": [
            {"id": one.id, "type": one.type, "data": one.data.model_dump(mode="json", exclude_none=True)}
            for one in tried.made
            if not isinstance(one, Ignored)
        ],
    }
    if tried.ignored:
        answer["ignored"] = tried.ignored
    if tried.refusal:
        faults = [{"pointer": f.pointer, "detail": f.detail, "expected": f.expected} for f in tried.refusal.errors]
        answer["refusal"] = {"status": tried.refusal.status, "detail": tried.refusal.detail, "errors": faults}
    if tried.applied is not None:
        answer["fields"] = [
            {"report": s.target, "form": s.field, "answer": s.answer, "value": s.value, "how": s.how}
            for s in tried.applied.steps
        ]
        answer["into_description"] = tried.applied.rest
    return json.dumps(answer, ensure_ascii=False, indent=2)


def as_text(tried: Tried) -> str:
    """For people."""
    lines = [f"source {tried.source}: type {tried.type}, kind {tried.kind}", f"signature: {tried.signature}"]
    if tried.refusal:
        lines += ["", f"REFUSED with {tried.refusal.status}: {tried.refusal.detail}"]
        lines += [f"  {f.pointer}: {f.detail}; expected {f.expected}" for f in tried.refusal.errors]
    for one in tried.made:
        if isinstance(one, Ignored):
            lines += ["", f"IGNORED: {one.reason}"]
            continue
        data = one.data.model_dump(mode="json", exclude_none=True)
        warnings = data.pop("warnings", [])
        lines += ["", f"EVENT {one.type}, id {one.id}"]
        lines += [f"  {key} = {_indented(value)}" for key, value in data.items()]
        lines += ["warnings:", *(f"  {text}" for text in warnings)] if warnings else []
    if tried.applied is not None:
        lines += ["", "fields of the report, and where they come from:"]
        for step in tried.applied.steps:
            said = "" if step.answer is None else f" “{step.answer[:100]}”"
            became = "" if step.value is None else f" → {_indented(step.value)[:100]}"
            lines.append(f"  {step.target} ← {step.field or '(no field)'}{said}{became} ({step.how})")
        lines += ["into the description, because nothing maps it:"] if tried.applied.rest else []
        lines += [f"  {_indented(line)}" for line in tried.applied.rest]
    return "\n".join(lines)


def _indented(value: object) -> str:
    return str(value).replace("\n", "\n    ")
