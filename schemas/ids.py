"""Ids as RFC 9562 has them: random ones, and ones that follow from a name. Each press and each mail needs several.

Randomness is fetched for many of them at once: asking the system for it lets go of the interpreter, and another thread
takes it, which with ingest's journal at work was a fifteenth of what a press without an id of its own cost.
"""

import os
from collections import deque
from hashlib import sha1
from typing import Final
from uuid import UUID

_AT_ONCE: Final = 256
_BYTES: Final = 16
_unused: Final[deque[bytes]] = deque()
# A process that is forked must not hand out the same ones.
os.register_at_fork(after_in_child=_unused.clear)


def random_id() -> str:
    """A UUID of version 4 (RFC 9562), written as usual."""
    try:
        raw = _unused.popleft()
    except IndexError:
        many = os.urandom(_AT_ONCE * _BYTES)
        raw, *others = [many[start : start + _BYTES] for start in range(0, len(many), _BYTES)]
        _unused.extend(others)
    return _written(raw.hex(), "4")


def named_id(namespace: UUID, name: str) -> str:
    """A UUID of version 5, the same for the same name: what `uuid.uuid5` makes, in a third of the time."""
    return _written(sha1(namespace.bytes + name.encode(), usedforsecurity=False).hexdigest(), "5")


def _written(digits: str, version: str) -> str:
    """At least 32 hexadecimal digits as a UUID of this version."""
    variant = "89ab"[int(digits[16], 16) & 3]
    return f"{digits[:8]}-{digits[8:12]}-{version}{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:32]}"
