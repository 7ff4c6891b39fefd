"""What happens when a background loop ends with a bug: the process ends too, and its supervisor restarts it."""

import asyncio
import signal

import structlog

log = structlog.get_logger()


class Crashes:
    """Whether a loop has crashed, so that the process can end with an error."""

    seen = False


def end_process_on_bug(task: asyncio.Task[None]) -> None:
    """A done-callback for loops that end only when they are cancelled."""
    if task.cancelled() or task.exception() is None:
        return
    Crashes.seen = True
    log.error("loop.crashed", loop=task.get_name(), exc_info=task.exception())
    signal.raise_signal(signal.SIGTERM)
