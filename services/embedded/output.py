"""The services' log lines on their way to our stdout: held back until the banner is out, in one piece each.

Whoever looks after the services must not wait for a terminal that is paused.
"""

import os
import sys
import threading
from collections import deque
from typing import IO

from services.common.lines import Lines
from services.embedded.process import Part

_TAIL = 15  # lines kept for the message about a crash


class Output:
    """Forwards lines of several parts. With `json_only`, lines that are none go to stderr."""

    def __init__(self, *, json_only: bool) -> None:
        self._json_only = json_only
        self._out = Lines(sys.stdout, self._lost)
        together = os.path.sameopenfile(sys.stdout.fileno(), sys.stderr.fileno())
        self._err = self._out if together else Lines(sys.stderr, self._lost)
        self._lock = threading.Lock()
        self._held: list[bytes] | None = []
        self._tails: dict[str, deque[bytes]] = {}
        self._threads: list[threading.Thread] = []

    def follow(self, part: Part) -> None:
        """Read the part's output until it ends."""
        assert part.process.stdout is not None
        tail = self._tails[part.name] = deque(maxlen=_TAIL)
        thread = threading.Thread(target=self._pump, args=(part.process.stdout, tail), daemon=True)
        self._threads.append(thread)
        thread.start()

    def release(self) -> None:
        """Print what was held back, and from now on every line at once."""
        with self._lock:
            held, self._held = self._held or [], None
            for line in held:
                self._print(line)

    def say(self, text: str) -> None:
        """Tell the person at the terminal."""
        self._err.warning(text)

    def flush(self) -> None:
        """Write what found no room until now; to be called now and then."""
        self._out.flush()
        self._err.flush()

    def finish(self) -> None:
        """Wait until the ended parts' last lines are printed."""
        self.release()
        for thread in self._threads:
            thread.join(timeout=2)

    def tail(self, name: str) -> str:
        """The last lines of a part."""
        return b"".join(self._tails.get(name, ())).decode(errors="replace").rstrip()

    def _pump(self, stream: IO[bytes], tail: deque[bytes]) -> None:
        with stream:
            for line in stream:
                with self._lock:
                    tail.append(line)
                    if self._held is None:
                        self._print(line)
                    else:
                        self._held.append(line)

    def _print(self, line: bytes) -> None:
        target = self._err if self._json_only and not line.startswith(b"{") else self._out
        target.info(line.decode(errors="replace").removesuffix("\n"))

    def _lost(self, count: int) -> None:
        self.say(f"rufkette: {count} lines of the logs are lost: nobody read them")
