"""From the bytes of a request to a JSON object, with every limit enforced before anything is parsed."""

import asyncio
import codecs
import contextlib
import json
import threading
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, NoReturn

from starlette.requests import ClientDisconnect
from starlette.types import Receive

from services.ingest.api.problems import Refusal, quoted

LIMIT: Final = 64 * 1024
"""Bytes in a body."""
MAX_DEPTH: Final = 64
"""Levels of objects and lists, the outermost included."""
_READ_ON: Final = 8 * 1024 * 1024
"""Bytes that are read of a body over the limit, and thrown away: most senders read the answer only after that."""
_READ_ON_WITHIN: Final = 3.0
"""Seconds for that: whoever sends a byte at a time shall not keep us busy."""
READ_WITHIN: Final = 10.0
"""Seconds that a sender has for its whole body, so that a stalled one does not hold a connection for ever."""
_LONG_NUMBER: Final = 400


class Parsed(NamedTuple):
    """A JSON object, and the keys that stood in it more than once (the last one was taken)."""

    value: dict[str, Any]
    repeated: tuple[str, ...]


async def read(receive: Receive, headers: Mapping[str, str], *, all_here: bool = False) -> bytes:
    """The whole body, counted as it arrives: a chunked body cannot grow past the limit either.

    Args:
        receive: what the server hands a request over with (ASGI).
        headers: with lower-case names.
        all_here: the end has arrived, so nobody will wait; a clock of its own for each press takes a while.

    Raises:
        Refusal: 413 over `LIMIT` bytes, 408 when the sender stalls.
        ClientDisconnect: the sender is gone.
    """
    declared = headers.get("content-length", "")
    length = int(declared[:20]) if declared.isdecimal() else 0
    # A sender that expects 100-continue has sent nothing yet.
    if length > (LIMIT if "expect" in headers else _READ_ON):
        raise _too_large()
    try:
        received, more = await _next(receive) if all_here else (b"", True)
        if more:
            async with asyncio.timeout(READ_WITHIN):
                received, more = await _gathered(received, receive)
    except TimeoutError:
        raise Refusal(408, f"The body did not arrive within {READ_WITHIN:.0f} seconds.") from None
    if len(received) > LIMIT:
        await _throw_away(receive, more=more)
        raise _too_large()
    return received


async def _gathered(begin: bytes, receive: Receive) -> tuple[bytes, bool]:
    """The whole body, or what is over the limit of it and whether there is more."""
    gathered, more = bytearray(begin), True
    while more and len(gathered) <= LIMIT:
        chunk, more = await _next(receive)
        gathered += chunk
    return bytes(gathered), more


async def _next(receive: Receive) -> tuple[bytes, bool]:
    """A piece of the body, and whether there is more."""
    message = await receive()
    if message["type"] == "http.disconnect":
        raise ClientDisconnect
    return message.get("body", b""), message.get("more_body", False)


async def _throw_away(receive: Receive, *, more: bool) -> None:
    size = 0
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_READ_ON_WITHIN):
            while more and size <= _READ_ON:
                chunk, more = await _next(receive)
                size += len(chunk)


def _too_large() -> Refusal:
    # What may be left of the body stays unread, so the connection is of no further use.
    return Refusal(413, f"The body is larger than {LIMIT} bytes (64 KiB).", headers={"Connection": "close"})


def is_json(content_type: str | None) -> bool:
    """Whether the header says JSON; a missing one is taken as JSON, because many devices send none."""
    if not content_type:
        return True
    media_type = content_type.split(";", 1)[0].strip().lower()
    return media_type == "application/json" or (media_type.startswith("application/") and media_type.endswith("+json"))


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _integer(digits: str) -> int | float:
    # Longer ones cost quadratic time (and Python refuses them); none of our fields takes such a number anyway.
    return float(digits) if len(digits) > _LONG_NUMBER else int(digits)


def _depth(value: object) -> int:
    deepest = 0
    waiting: list[tuple[object, int]] = [(value, 1)]
    while waiting:
        item, level = waiting.pop()
        if isinstance(item, dict | list):
            deepest = max(deepest, level)
            waiting += [(child, level + 1) for child in (item.values() if isinstance(item, dict) else item)]
    return deepest


def parse(raw: bytes) -> Parsed:
    """The JSON object in a body.

    Raises:
        Refusal: 400 as `parse_any`; 422 when it is JSON but no object.
    """
    value, repeated = parse_any(raw)
    if not isinstance(value, dict):
        raise Refusal(422, f'The body is a JSON {_name(value)}, expected an object such as {{"site": "…"}}.')
    return Parsed(value, repeated)


def parse_any(raw: bytes) -> tuple[Any, tuple[str, ...]]:
    """The JSON in a body, whatever it is, and the keys that stood in one object more than once.

    Raises:
        Refusal: 400 when it is not UTF-8, not JSON (NaN and Infinity are not), or nested too deep.
    """
    try:
        text = raw.removeprefix(codecs.BOM_UTF8).decode()
    except UnicodeDecodeError as error:
        raise Refusal(400, f"The body is not UTF-8 (byte {error.start}). Send JSON encoded as UTF-8.") from None
    try:
        value = _READER.decode(text)
    except RecursionError:
        raise _too_deep() from None
    except ValueError as error:
        where = f" (line {error.lineno}, column {error.colno})" if isinstance(error, json.JSONDecodeError) else ""
        what = error.msg if isinstance(error, json.JSONDecodeError) else str(error)
        raise Refusal(400, f"The body is not JSON: {what}{where}.") from None
    if text.count("{") + text.count("[") > MAX_DEPTH and _depth(value) > MAX_DEPTH:
        raise _too_deep()
    return value, tuple(dict.fromkeys(_READER.repeated))


class _Reader(threading.local):
    """A decoder that knows which keys stood in one object more than once; made once a thread: that takes a while."""

    def __init__(self) -> None:
        self.repeated: list[str] = []
        self._decoder = json.JSONDecoder(object_pairs_hook=self._collect, parse_constant=_constant)
        self._of_long = json.JSONDecoder(object_pairs_hook=self._collect, parse_constant=_constant, parse_int=_integer)

    def decode(self, text: str) -> Any:
        """The value in a JSON text; raises as `json.loads` does."""
        self.repeated.clear()
        return (self._decoder if len(text) <= _LONG_NUMBER else self._of_long).decode(text)

    def _collect(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        members = dict(pairs)
        if len(members) < len(pairs):
            seen: set[str] = set()
            self.repeated += [key for key, _ in pairs if key in seen or seen.add(key)]  # type: ignore[func-returns-value]
        return members


_READER: Final = _Reader()


def _too_deep() -> Refusal:
    return Refusal(400, f"The body is nested deeper than {MAX_DEPTH} levels.")


def _name(value: object) -> str:
    names = {list: "array", str: "string", bool: "boolean", type(None): "null"}
    return names.get(type(value), "number")


def refuse_repeated(keys: Sequence[str]) -> None:
    """For senders that can be told: which of two values was meant is not ours to guess.

    Raises:
        Refusal: 400 naming the keys.
    """
    if keys:
        names = ", ".join(quoted(key) for key in keys[:5])
        raise Refusal(400, f"The body has more than one value for {names}. Send each key once.")
