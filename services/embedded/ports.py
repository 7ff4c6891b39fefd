"""Free TCP ports of the loopback address, each given to one process of ours only."""

import fcntl
import os
import socket
import tempfile
from contextlib import suppress
from functools import cache
from itertools import cycle, islice
from pathlib import Path
from random import SystemRandom

_PORTS = range(20_000, 32_768)
"""Below those that systems give to outgoing connections: none of them may sit on a port whose server comes back."""


class _Claims:
    """Between the choice of a port and its server's start lie seconds, in which others choose, too.

    A claim is a lock on one byte of a file that all our processes of this user share. The kernel ends it with the
    process; so would closing the file.
    """

    def __init__(self) -> None:
        # Not `random`: property tests seed it.
        self.order = cycle(SystemRandom().sample(_PORTS, len(_PORTS)))
        self._mine: set[int] = set()
        self._file: int | None = None
        with suppress(OSError):  # without it, only this process's own choices are kept apart
            path = Path(tempfile.gettempdir()) / f"rufkette-ports-{os.getuid()}"
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)

    def take(self, port: int) -> bool:
        """Whether the port was nobody's, and is ours from now on."""
        if port in self._mine:
            return False
        if self._file is not None:
            try:
                fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
            except OSError:
                return False
        self._mine.add(port)
        return True

    def give_back(self) -> None:
        """All of them: whoever chose so many has ended most of what it chose them for."""
        if self._file is not None:
            fcntl.lockf(self._file, fcntl.LOCK_UN)
        self._mine.clear()


@cache
def _claims() -> _Claims:
    """This process's; made when the first port is chosen."""
    return _Claims()


def free_port() -> int:
    """A TCP port on the loopback address that nobody listens on, and that no process of ours has chosen.

    Raises:
        OSError: there is none.
    """
    claims = _claims()
    for _ in range(2):
        for port in islice(claims.order, len(_PORTS)):
            if choose(port):
                return port
        claims.give_back()
    raise OSError(f"no free port between {_PORTS.start} and {_PORTS.stop - 1}")


def choose(port: int) -> bool:
    """Whether nobody listens on this port and no process of ours has chosen it; then it is this one's."""
    return is_free(port) and _claims().take(port)


def is_free(port: int) -> bool:
    """Whether we could listen on this port of the loopback address."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
