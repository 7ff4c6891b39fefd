"""The configuration in force: read at the start, and anew on SIGHUP. A file with mistakes changes nothing."""

import asyncio
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Final

import structlog
from prometheus_client import Counter, Gauge

from schemas.configuration import Configuration
from services.common.configuration.file import ConfigurationError, load

log = structlog.get_logger()

_RELOADS: Final = Counter(
    "rufkette_configuration_reloads_total", "SIGHUPs by what became of them: reloaded or refused.", ("outcome",)
)
_SUCCESSFUL: Final = Gauge(
    "rufkette_configuration_last_reload_successful",
    "1 while the file that was read last is in force; 0 when it was refused and an older one still is.",
)


def counts(configuration: Configuration) -> dict[str, int]:
    """What the log says about a configuration: how much of it there is."""
    return {key: len(getattr(configuration, key)) for key in ("sites", "sources", "rules")}


def hold_sighup() -> None:
    """Keep a SIGHUP that comes during the start until `Reloading` listens; it would end the process."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})


class Reloading:
    """Reads the file anew on SIGHUP and hands a good one to `take`.

    `take` is called in the event loop between two steps of everything else, so whoever asks for the configuration
    gets the old one or the new one and never a mixture. It may raise `ConfigurationError`, having changed nothing.
    """

    def __init__(self, file: Path, take: Callable[[Configuration], None]) -> None:
        self._file = file
        self._take = take
        self._reading = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    def listen(self) -> None:
        """Take SIGHUPs from now on, until the running loop ends; also the one that `hold_sighup` kept."""
        _SUCCESSFUL.set(1)
        asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._ask)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})

    def _ask(self) -> None:
        task = asyncio.create_task(self._reload())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _reload(self) -> None:
        async with self._reading:  # two SIGHUPs: what was written last is read last
            try:
                # In a thread: a large file takes longer to read than a press may wait.
                configuration = await asyncio.to_thread(load, self._file)
                self._take(configuration)
            except ConfigurationError as error:
                _refuse(error)
                return
            _RELOADS.labels("reloaded").inc()
            _SUCCESSFUL.set(1)
            log.info("configuration.reloaded", **counts(configuration))


def _refuse(error: ConfigurationError) -> None:
    _RELOADS.labels("refused").inc()
    _SUCCESSFUL.set(0)
    # Places only: what is wrong there may be somebody's name or address.
    where = [f"line {m.line}: {m.path}".rstrip(": ") if m.line else "the file cannot be read" for m in error.mistakes]
    log.error("configuration.refused", mistakes=where)
