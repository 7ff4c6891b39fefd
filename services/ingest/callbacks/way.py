"""What became of one attempt to tell a device, whatever the way."""

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from services.ingest.callbacks.press import Answer


class Failure(NamedTuple):
    """Why it was not taken: the kind of problem, the receiver's code, and whether it is about more than one device."""

    problem: str
    code: int | None
    is_the_receivers: bool


Tell = Callable[[Answer], Awaitable[Failure | None]]
"""Tells a device, within ten seconds; None: the receiver has taken it."""
WITHIN = 10.0
