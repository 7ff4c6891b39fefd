"""Urlencoded and multipart bodies as names and values in bytes; the size of the body is bounded before."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote_to_bytes

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from services.ingest.api.problems import Refusal

MOST_PARTS: Final = 500
"""Fields in one message."""


@dataclass(slots=True)
class Part:
    """A field as it was posted; `filename` is set for an upload, `charset` if the part itself declares one."""

    name: bytes
    value: bytes
    filename: bytes | None = None
    charset: str | None = None


def urlencoded(body: bytes) -> list[Part]:
    """The fields of `application/x-www-form-urlencoded`.

    Raises:
        Refusal: 400 for too many.
    """
    pairs = [pair for pair in body.strip().split(b"&") if pair]
    if len(pairs) > MOST_PARTS:
        raise _too_many()
    parts = []
    for pair in pairs:
        name, _, value = pair.replace(b"+", b" ").partition(b"=")
        parts.append(Part(unquote_to_bytes(name), unquote_to_bytes(value)))
    return parts


def _too_many() -> Refusal:
    return Refusal(400, f"The message has more than {MOST_PARTS} fields.")


@dataclass(slots=True)
class _Reading:
    parts: list[Part] = field(default_factory=list)
    header: bytearray = field(default_factory=bytearray)
    content: bytearray = field(default_factory=bytearray)
    value: bytearray = field(default_factory=bytearray)
    headers: dict[bytes, str] = field(default_factory=dict)

    def begin(self) -> None:
        if len(self.parts) >= MOST_PARTS:
            raise _too_many()
        self.headers = {}
        self.value.clear()

    def header_end(self) -> None:
        self.headers[bytes(self.header).lower()] = bytes(self.content).decode("latin-1")
        self.header.clear()
        self.content.clear()

    def end(self) -> None:
        _, options = parse_options_header(self.headers.get(b"content-disposition"))
        _, kind = parse_options_header(self.headers.get(b"content-type"))
        charset = kind.get(b"charset")
        self.parts.append(
            Part(
                options.get(b"name", b""),
                bytes(self.value),
                options.get(b"filename"),
                charset.decode("latin-1") if charset else None,
            )
        )


def multipart(body: bytes, content_type: str) -> list[Part]:
    """The fields of `multipart/form-data`; the content of an upload is counted by its reader, not kept.

    Raises:
        Refusal: 400 when it is none: no boundary, no end, headers of a part too long or too many, too many parts.
    """
    _, options = parse_options_header(content_type)
    boundary = options.get(b"boundary")
    if not boundary:
        raise Refusal(400, "The Content-Type multipart/form-data has no boundary.")
    reading = _Reading()
    ended = False

    def finish() -> None:
        nonlocal ended
        ended = True

    def adding(to: bytearray) -> Callable[[bytes, int, int], None]:
        return lambda data, start, end: to.extend(data[start:end])

    try:
        parser = MultipartParser(
            boundary,
            {
                "on_part_begin": reading.begin,
                "on_header_field": adding(reading.header),
                "on_header_value": adding(reading.content),
                "on_header_end": reading.header_end,
                "on_part_data": adding(reading.value),
                "on_part_end": reading.end,
                "on_end": finish,
            },
        )
        parser.write(body)
        parser.finalize()
    except (FormParserError, ValueError) as error:
        raise Refusal(400, f"The body is no multipart/form-data: {str(error)[:100]}.") from None
    if not ended:
        raise Refusal(400, "The body is no multipart/form-data: it ends in the middle of a part.")
    return reading.parts
