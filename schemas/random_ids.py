"""Random ids, from randomness that is fetched for many of them at once.

Asking the system for it lets go of the interpreter, and another thread takes it: with ingest's journal at work that
was a fifteenth of what a press without an id of its own cost.
"""

import os
from collections import deque
from typing import Final

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
    digits = raw.hex()
    variant = "89ab"[raw[8] & 3]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"
