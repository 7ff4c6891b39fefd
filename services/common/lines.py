"""Where log lines go. What cannot be written, on a full disk say, is lost, and nothing else: an alarm goes on."""

import asyncio
import atexit
import contextlib
import threading
from collections import deque
from typing import TextIO


class Lines:
    """A logger as structlog wants it, and a stream for what libraries log.

    What is said below warning in one turn of the event loop is written together, at its end: each call of the system
    lets another thread have the interpreter. All else, and what is said outside of an event loop, is written at once:
    the last lines before a process ended are those that somebody wants to read.
    """

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._waiting: deque[str] = deque()
        self._guard = threading.Lock()
        self._at_work: asyncio.AbstractEventLoop | None = None
        """The loop whose turn ends with what waits being written."""
        atexit.register(self.flush)

    def msg(self, message: str) -> None:
        """Write a line, soon."""
        self._waiting.append(f"{message}\n")
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self.flush()
            return
        if self._at_work is not loop:
            loop.call_soon(self._end_turn)
            self._at_work = loop

    def _end_turn(self) -> None:
        self._at_work = None
        self.flush()

    debug = info = msg

    def warning(self, message: str) -> None:
        """Write a line, at once, and what waits before it."""
        self.write(f"{message}\n")

    error = critical = warning

    def write(self, text: str) -> None:
        """Write text, at once, and what waits before it."""
        self._waiting.append(text)
        self.flush()

    def flush(self) -> None:
        """Write what waits."""
        with self._guard:
            text = ""
            while self._waiting:
                text += self._waiting.popleft()
            if text:
                with contextlib.suppress(OSError):
                    self._file.write(text)
                    self._file.flush()
