"""The one shape of every emitter: a raw request, and what is made of it – events, or a named reason why not.

To add one: its class in schemas/configuration_sources.py, a module here with an `Emitter`, and a line in `registry.py`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Final, NamedTuple

from schemas.events import Event
from services.ingest.sender import Sender

_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})


class Message(NamedTuple):
    """What came, unchanged: signatures are made over raw bytes.

    `headers` have lower-case names; of a header or parameter that came twice the first counts. `rest` is what follows
    the source's name in the path of a hook (`/v1/hooks/shelly/btn-7`: `btn-7`).
    """

    body: bytes
    received_at: datetime
    method: str = "POST"
    headers: Mapping[str, str] = _NOTHING
    query: Mapping[str, str] = _NOTHING
    rest: str = ""


@dataclass(frozen=True, slots=True)
class Ignored:
    """A message that is no report and no sign of life, and which. A fixed word: it goes to the log."""

    reason: str


Made = Event | Ignored


@dataclass(frozen=True, slots=True)
class Emitter:
    """How one type of source is understood.

    `parse` returns what the message is, the principal event first (a press may bring its device's battery along);
    never nothing. It raises `Refusal` (400, 415, 422) for a source that is not `kind: panic` only – apart from
    what is no message of this sender at all.
    `verify` raises `Refusal` (401, 403) unless the message is signed as the source's configuration says; None for types
    that show an API key, which is checked before the body is read.
    `methods`: the HTTP methods that the sender uses. `status`: what it takes for success.
    """

    parse: Callable[[Message, Sender], Sequence[Made]]
    verify: Callable[[Message, Sender], None] | None = None
    methods: frozenset[str] = frozenset({"POST"})
    status: int = 202
