"""Where log lines go. What cannot be written, on a full disk say, is lost, and nothing else: an alarm goes on.

Nor is anybody waited for who does not read: a terminal that is paused, a container's log driver that hangs.
"""

import asyncio
import atexit
import contextlib
import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final, TextIO

from services.common.turn import EndOfTurn

MOST_WAITING: Final = 5_000
"""Lines that wait for somebody to read; those after them are lost, and counted. Warnings have as much room again."""
_PIECE: Final = select.PIPE_BUF
"""Bytes of which `poll` says that they can be written without waiting."""
_AGAIN_AFTER: Final = 0.5
_LAST_WORDS_MS: Final = 1_000


class Lines:
    """A logger as structlog wants it, and a stream for what libraries log.

    What is said below warning in one turn of the event loop is written together, at its end: each call of the system
    lets another thread have the interpreter. All else, and what is said outside of an event loop, is written at once:
    the last lines before a process ended are those that somebody wants to read.

    `on_lost` hears how many lines were lost, once all that waited is written.
    """

    def __init__(self, file: TextIO, on_lost: Callable[[int], object] = lambda _: None) -> None:
        self._file = file
        self._number = _own(file.fileno())
        self._encoding = file.encoding
        self._poll = select.poll()
        self._poll.register(self._number, select.POLLOUT)
        self._on_lost = on_lost
        self._waiting: deque[bytes] = deque()
        self._begun = b""
        self._lost = 0
        self._guard = threading.Lock()
        self._writer = 0
        """The thread that writes: what it says meanwhile (an object that is cleared away may) goes with the rest."""
        self._turn = EndOfTurn(self.flush)
        self._trying_again: asyncio.AbstractEventLoop | None = None
        atexit.register(self.flush, _LAST_WORDS_MS)

    def msg(self, message: str) -> None:
        """Write a line, soon."""
        self._put(f"{message}\n", MOST_WAITING)
        try:
            self._turn.ask()
        except RuntimeError:
            self.flush()

    debug = info = msg

    def warning(self, message: str) -> None:
        """Write a line, at once, and what waits before it."""
        self.write(f"{message}\n")

    error = critical = warning

    def write(self, text: str) -> None:
        """Write text, at once, and what waits before it."""
        self._put(text, 2 * MOST_WAITING)
        self.flush()

    def flush(self, patience_ms: int = 0) -> None:
        """Write what waits, as far as somebody reads within so many milliseconds."""
        if self._writer == threading.get_ident():
            return
        with self._guard:
            self._writer = threading.get_ident()
            try:
                self._write(time.monotonic() + patience_ms / 1000)
                unread = bool(self._begun or self._waiting)
                lost = 0 if unread else self._lost
                self._lost -= lost
            finally:
                self._writer = 0
        if unread:
            self._try_again()
        elif lost:
            self._on_lost(lost)

    def _put(self, text: str, most: int) -> None:
        if len(self._waiting) >= most:
            self.flush()
        if len(self._waiting) >= most:
            self._lost += 1
        else:
            self._waiting.append(text.encode(self._encoding, "backslashreplace"))

    def _write(self, until: float) -> None:
        if not self._waiting and not self._begun:
            return
        if self._file.closed:  # its number may be another file's by now
            self._begun = b""
            self._waiting.clear()
            return
        with contextlib.suppress(OSError):
            self._file.flush()  # what was printed comes before
        while self._begun or self._waiting:
            while self._waiting and len(self._begun) < _PIECE:
                self._begun += self._waiting.popleft()
            try:
                if not self._poll.poll(max(0.0, until - time.monotonic()) * 1000):
                    return
                whole = self._begun.rfind(b"\n", 0, _PIECE) + 1  # others may write there, too
                self._begun = self._begun[os.write(self._number, self._begun[: whole or _PIECE]) :]
            except BlockingIOError:
                return
            except OSError:
                self._begun = b""

    def _try_again(self) -> None:
        """In a while, if nothing is said until then."""
        with contextlib.suppress(RuntimeError):  # outside of an event loop the next line has to do
            loop = asyncio.get_running_loop()
            if self._trying_again is not loop:
                loop.call_later(_AGAIN_AFTER, self._retry)
                self._trying_again = loop

    def _retry(self) -> None:
        self._trying_again = None
        self.flush()


def _own(number: int) -> int:
    """A terminal opened anew, so that it never blocks us: what `poll` says of it holds for a single byte.

    That is the property of an opened file, which is shared with whoever started us.
    """
    with contextlib.suppress(OSError):
        return os.open(os.ttyname(number), os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
    return number
