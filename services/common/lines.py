"""Where log lines go. What cannot be written, on a full disk say, is lost, and nothing else: an alarm goes on."""

import contextlib
from typing import TextIO


class Lines:
    """A logger as structlog wants it, and a stream for what libraries log."""

    def __init__(self, file: TextIO) -> None:
        self._file = file

    def msg(self, message: str) -> None:
        """Write a line, at once: the last ones before a process was killed are those that somebody wants to read."""
        self.write(f"{message}\n")

    debug = info = warning = error = critical = msg

    def write(self, text: str) -> None:
        """Write text, at once."""
        with contextlib.suppress(OSError):
            self._file.write(text)
            self._file.flush()

    def flush(self) -> None:
        """Nothing waits."""
