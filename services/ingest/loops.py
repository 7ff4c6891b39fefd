"""What happens when a background loop ends with a bug: the process ends too, and its supervisor restarts it."""

import asyncio
import signal

import structlog

from services.common.loops import LoopEndedError

log = structlog.get_logger()


class Crashes:
    """Whether a loop has crashed, so that the process can end with an error."""

    seen = False


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
