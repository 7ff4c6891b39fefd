"""Which ingest this is, also after a restart and under another hostname: what a broker knows its sessions by.

A few random characters in a small file beside the journal, which each process has for itself.
"""

import asyncio
import contextlib
import hashlib
import os
import re
import secrets
import socket
from functools import partial
from pathlib import Path
from typing import Final

import structlog

from services.common.threads import ask_apart

log = structlog.get_logger()

_BYTES: Final = 8
_KEPT: Final = re.compile(rb"[0-9a-f]{16}\n?")
_WITHIN: Final = 5.0
"""Seconds for the disk; presses are heard without it then."""


class Instance:
    """The id of the ingest that has this journal; without a source that asks for it no file is made."""

    def __init__(self, journal: Path) -> None:
        self._journal = journal
        self._decided: asyncio.Task[str] | None = None

    async def id(self) -> str:
        """16 characters, the same for as long as the process runs.

        Never raises: without a usable file they follow from hostname and the journal's path, which a log line says.
        """
        if self._decided is None:
            self._decided = asyncio.create_task(self._decide(), name="instance")
        # Sources come and go while the disk is asked; the answer is for all of them.
        return await asyncio.shield(self._decided)

    async def _decide(self) -> str:
        try:
            async with asyncio.timeout(_WITHIN):
                file = self._journal.with_name(f"{self._journal.name}.instance")
                return await ask_apart(partial(kept, file), "instance")
        except TimeoutError:
            reason = "the disk does not answer"
        except OSError as error:
            reason = error.strerror or type(error).__name__
        log.warning("instance.unkept", reason=reason)
        return _derived(self._journal)


def kept(path: Path) -> str:
    """The id that the file holds; made with its directory when it is not there.

    Raises:
        OSError: it cannot be read or written, or holds something else, and is left as it is.
    """
    try:
        with path.open("rb") as file:
            found = file.read(100)
    except FileNotFoundError:
        return _written(path)
    if _KEPT.fullmatch(found) is None:
        raise OSError(0, "the file holds something else")
    return found.decode().strip()


def _written(path: Path) -> str:
    new, made = secrets.token_hex(_BYTES), path.with_name(f"{path.name}.new")
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(made, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "w") as file:
        file.write(f"{new}\n")
        file.flush()
        os.fsync(file.fileno())
    made.replace(path)
    # Not every file system can do this; there the name may be lost with the machine's power, and nothing else.
    with contextlib.suppress(OSError):
        directory = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    return new


def _derived(journal: Path) -> str:
    with contextlib.suppress(OSError):  # the working directory may be gone
        journal = journal.absolute()
    return hashlib.sha256(f"{socket.gethostname()}\n{journal}".encode()).hexdigest()[: 2 * _BYTES]
