"""Waiting for a condition with a deadline, never by the clock."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

Answer = TypeVar("Answer")


async def eventually(
    ask: Callable[[], Awaitable[Answer]], accepts: Callable[[Answer], bool], *, within: float = 30.0
) -> Answer:
    """Ask again and again until the answer is accepted; fails with the last answer after `within` seconds."""
    deadline = time.monotonic() + within
    while True:
        answer = await ask()
        if accepts(answer):
            return answer
        assert time.monotonic() < deadline, f"not within {within} s; the last answer: {answer!r}"
        await asyncio.sleep(0.03)
