"""From a form's message to its fields: JSON, urlencoded or multipart, in whatever charset it says."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import jmespath
from jmespath.exceptions import JMESPathError
from python_multipart.multipart import parse_options_header

from schemas.report_warnings import warning
from services.ingest.api import body
from services.ingest.api.problems import Refusal
from services.ingest.sender import Sender
from services.ingest.sources.form_body import Part, multipart, urlencoded
from services.ingest.sources.form_charset import Decoder
from services.ingest.sources.form_entries import MOST_FIELDS, Posted, posted
from services.ingest.sources.json_object import json_object
from services.ingest.sources.shape import Message

_FORM: Final = "application/x-www-form-urlencoded"
_MULTIPART: Final = "multipart/form-data"
_UNSAID: Final = ("", "text/plain", "application/octet-stream")
"""Types that say nothing about the body, so it is looked at."""
_KEYS: Final = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", re.ASCII)


@dataclass(frozen=True, slots=True)
class Submission:
    """What a form sent. `document`: what JMESPath expressions see."""

    fields: tuple[Posted, ...]
    document: Mapping[str, Any]
    warnings: tuple[str, ...] = ()


@lru_cache(maxsize=1000)
def expression(text: str) -> Any | None:
    """The JMESPath expression, or None for what is none."""
    try:
        return jmespath.compile(text)
    except JMESPathError:
        return None


@lru_cache(maxsize=1000)
def _steps(text: str) -> tuple[str, ...]:
    """The keys of an expression that is nothing but keys."""
    return tuple(text.split(".")) if _KEYS.fullmatch(text) else ()


def search(text: str, document: Mapping[str, Any]) -> object:
    """What the expression finds; None also where it cannot be applied to this document."""
    steps = _steps(text)
    if steps:  # nearly all of them, and many times faster than the library
        found: object = document
        for step in steps:
            found = found.get(step) if isinstance(found, dict) else None
        return found
    compiled = expression(text)
    if compiled is None:
        return None
    try:
        return compiled.search(document)
    except (JMESPathError, TypeError, ValueError, ArithmeticError):
        return None


def matches(condition: str, document: Mapping[str, Any]) -> bool | None:
    """Whether the document meets a JMESPath condition; None where it cannot be applied to it."""
    compiled = expression(condition)
    if compiled is None:
        return None
    try:
        found = compiled.search(document)
    except (JMESPathError, TypeError, ValueError, ArithmeticError):
        return None
    # JMESPath's own notion of false: empty is false, and zero is true.
    return not (found is None or found is False or found in ("", [], {}))


def read(message: Message, sender: Sender, roots: tuple[str, ...] = ()) -> Submission:
    """The form's fields.

    Args:
        message: as it came.
        sender: a source of `kind: panic` is never refused: what cannot be read comes without fields, with a warning.
        roots: JMESPath expressions for where in JSON the form's own fields stand; empty: everywhere.

    Raises:
        Refusal: 400, 415, 422.
    """
    try:
        return _read(message, sender, roots)
    except Refusal:
        if not sender.lenient:
            raise
        return Submission((), {}, (warning("unreadable"),))


def _read(message: Message, sender: Sender, roots: tuple[str, ...]) -> Submission:
    said, options = parse_options_header(message.headers.get("content-type"))
    kind, charset = said.decode("latin-1"), options.get(b"charset", b"").decode("latin-1") or None
    if message.headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
        raise Refusal(415, "The body is compressed. Send it without Content-Encoding.")
    if body.is_json(kind) if kind else False:
        return _json(message, charset, sender, roots)
    if kind in (*_UNSAID, _FORM) and message.body.lstrip()[:1] == b"{":
        return _json(message, charset, sender, roots)
    if kind in (*_UNSAID, _FORM):
        return _fields(urlencoded(message.body), charset, sender)
    if kind == _MULTIPART:
        return _fields(multipart(message.body, message.headers["content-type"]), charset, sender)
    raise Refusal(415, f"The body is neither application/json, {_FORM} nor {_MULTIPART}. Send one of them, and say so.")


def _json(message: Message, charset: str | None, sender: Sender, roots: tuple[str, ...]) -> Submission:
    decoder = Decoder(charset or "utf-8", lenient=sender.lenient)
    raw = message.body
    if charset:
        raw = decoder.text(raw).encode("utf-8", errors="surrogatepass")
    elif sender.lenient and not _is_utf8(raw):
        raw = Decoder(None, lenient=True).text(raw).encode()
    plain = message._replace(body=raw, headers={**message.headers, "content-type": "application/json"})
    document, warnings = json_object(plain, sender)
    found = [(search(root, document), root) for root in roots]
    fields = [one for value, root in found if value is not None for one in posted(value, root, document)]
    if not any(value is not None for value, _ in found):
        fields = posted(document, "", document)
    cut = (warning("many_fields", count=MOST_FIELDS),) if len(fields) >= MOST_FIELDS else ()
    return Submission(tuple(fields), document, (*warnings, *decoder.warnings, *cut))


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


def _fields(parts: list[Part], charset: str | None, sender: Sender) -> Submission:
    declared = charset or next((p.value.decode("latin-1") for p in parts if p.name == b"_charset_" and p.value), None)
    decoder = Decoder(declared, lenient=sender.lenient)
    texts: dict[str, list[object]] = {}
    for part in parts:
        if part.name == b"_charset_":
            continue
        name = decoder.text(part.name)
        if part.filename is not None:
            if part.filename or part.value:
                texts.setdefault(name, []).append(f"{decoder.text(part.filename)} ({len(part.value)} bytes)")
            continue
        own = Decoder(part.charset, lenient=sender.lenient) if part.charset else decoder
        texts.setdefault(name, []).append(own.text(part.value))
    document = {name: values[0] if len(values) == 1 else values for name, values in texts.items()}
    # PHP and its friends write `schaden[]` for what can be chosen more than once.
    fields = (Posted(tuple(dict.fromkeys((n, n.removesuffix("[]")))), n, value, value) for n, value in document.items())
    return Submission(tuple(fields), document, tuple(decoder.warnings))
