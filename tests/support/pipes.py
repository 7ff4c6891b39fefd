"""Pipes that nobody reads for a while."""

import os
from collections.abc import Callable


def drained(reader: int, flush: Callable[[], None]) -> list[str]:
    """All lines that can be read, and are written as soon as there is room."""
    os.set_blocking(reader, False)
    read = b""
    while True:
        flush()
        try:
            read += os.read(reader, 1 << 20)
        except BlockingIOError:
            return read.decode().splitlines()
