"""From a form's bytes to text, in the charset that its sender declared, or the likeliest one."""

import re
from typing import Final

from schemas.report_warnings import warning
from services.ingest.api.problems import Refusal, quoted

_KNOWN: Final = re.compile(
    r"utf-?8|us-ascii|ascii|utf-16(le|be)?|iso-?8859-\d{1,2}|latin-?\d|windows-125\d|cp125\d|cp437|cp850|macintosh",
    re.ASCII,
)
"""Python knows more names, also of what is no charset (`rot13`, `zip`)."""
_AS_BROWSERS: Final = {"iso-8859-1": "cp1252", "iso8859-1": "cp1252", "latin1": "cp1252", "latin-1": "cp1252",
                       "us-ascii": "cp1252", "ascii": "cp1252", "macintosh": "mac-roman"}  # fmt: skip
"""Who says latin-1 sends Windows quotation marks and dashes all the same."""


class Decoder:
    """Decodes a message's texts; what did not fit stands in `warnings`.

    Args:
        declared: the name of the charset, if the message says one.
        lenient: guess rather than refuse.
    """

    def __init__(self, declared: str | None, *, lenient: bool) -> None:
        self.warnings: list[str] = []
        self._lenient = lenient
        self._codec: str | None = None
        if declared:
            self.declare(declared)

    def declare(self, name: str) -> None:
        """Take this charset from now on.

        Raises:
            Refusal: 415 for one that nobody knows.
        """
        plain = name.strip().strip("\"'").lower()
        codec = _AS_BROWSERS.get(plain, plain)
        try:
            if not _KNOWN.fullmatch(plain):
                raise LookupError(plain)
            b"".decode(codec)
        except LookupError:
            if not self._lenient:
                detail = f"The charset {quoted(name)} is not known. Send UTF-8, or iso-8859-1."
                raise Refusal(415, detail) from None
            self.warnings.append(warning("unknown_charset", value=quoted(name)))
            return
        self._codec = codec

    def text(self, raw: bytes) -> str:
        """The text.

        Raises:
            Refusal: 400 for bytes that the declared charset does not have.
        """
        if self._codec is None:
            return _guess(raw)
        if self._codec == "cp1252":
            return _windows(raw)
        try:
            return raw.decode(self._codec)
        except UnicodeDecodeError as error:
            if not self._lenient:
                detail = f"The message is not in the charset that it declares (byte {error.start} of a field)."
                raise Refusal(400, detail) from None
            if not self.warnings:
                self.warnings.append(warning("wrong_charset"))
            return _guess(raw)


def _guess(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return _windows(raw)


def _windows(raw: bytes) -> str:
    try:
        return raw.decode("cp1252")
    except UnicodeDecodeError:
        return raw.decode("latin-1")
