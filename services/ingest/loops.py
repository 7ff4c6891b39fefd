"""What happens when a background loop ends with a bug: the process ends too, and its supervisor restarts it."""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager

import structlog

from services.common.loops import LoopEndedError, Pulses, show
from services.common.watchdog import Watchdog

log = structlog.get_logger()


class Crashes:
    """Whether a loop has crashed, so that the process can end with an error."""

    seen = False


def begin(name: str, loop: Awaitable[None], pulses: Pulses | None) -> asyncio.Task[None]:
    """Start what runs for ever: its end ends the process, and `pulses` takes the time of its last `beat`."""
    task = asyncio.create_task(_shown(name, loop, pulses), name=name)
    task.add_done_callback(end_process_on_bug)
    return task


async def _shown(name: str, loop: Awaitable[None], pulses: Pulses | None) -> None:
    if pulses is not None:
        show(name, pulses)
    await loop


@asynccontextmanager
async def guarded_by(watchdog: Watchdog | None) -> AsyncIterator[None]:
    """Have it look, if there is one, until the end of the block."""
    if watchdog is None:
        yield
        return
    looking = begin("watchdog", watchdog.run(), watchdog.pulses)
    try:
        yield
    finally:
        looking.cancel()
        await asyncio.wait([looking])


def end_process_on_bug(task: asyncio.Task[None]) -> None:
    """A done-callback for loops that end only when we cancel them: one that a library cancelled must not stay dead."""
    if task.cancelled():
        if not task.cancelling():
            end_process(task.get_name(), LoopEndedError(task.get_name()))
    elif (error := task.exception()) is not None:
        end_process(task.get_name(), error)


def end_process(loop: str, error: BaseException) -> None:
    """Say which loop crashed, and stop in order."""
    Crashes.seen = True
    log.error("loop.crashed", loop=loop, exc_info=error)
    signal.raise_signal(signal.SIGTERM)
