"""Loops that run for ever, side by side: the first that ends with a bug ends them all."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import structlog

log = structlog.get_logger()
Loop = Callable[[], Awaitable[None]]
_ASK_AGAIN = 0.2
_ASK_AT_MOST = 25


async def run_together(loops: Mapping[str, Loop]) -> None:
    """Run all loops until one fails or we are cancelled; returns when every one has ended.

    Raises:
        Exception: what the first failing loop raised.
    """
    tasks = {asyncio.create_task(_named(name, loop)) for name, loop in loops.items()}
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            task.result()
    finally:
        await cancel(tasks)


async def cancel(tasks: set[asyncio.Task[None]]) -> None:
    """Cancel, and ask again: before Python 3.12 `asyncio.wait_for`, which our clients use, can swallow the first."""
    for _ in range(_ASK_AT_MOST):
        for task in tasks:
            task.cancel()
        if not (await asyncio.wait(tasks, timeout=_ASK_AGAIN))[1]:
            return


async def _named(name: str, loop: Loop) -> None:
    try:
        await loop()
    except Exception:
        log.exception("loop.crashed", loop=name)
        raise
