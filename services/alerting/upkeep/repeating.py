"""Loops that alarms do not need: a bug in one of them is logged, and must never end the process that alarms."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from services.common.loops import beat

log = structlog.get_logger()


async def repeat(name: str, work: Callable[[], Awaitable[None]], every: float, *, after_a_bug: float = 30.0) -> None:
    """Do `work` for ever, `every` seconds apart, and `after_a_bug` seconds after one."""
    while True:
        try:
            await work()
        except Exception:
            log.exception("upkeep.failed", loop=name)
            beat()  # it goes round, and a new process would meet the same bug
            await asyncio.sleep(after_a_bug)
        else:
            await asyncio.sleep(every)
