"""Work that prepares a part, beside the watching of the others."""

import threading
from collections.abc import Callable


class Job:
    """Preparing work in a thread that must not hold up the end: a download cannot be interrupted."""

    def __init__(self, work: Callable[[], None]) -> None:
        self._work = work
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._work()
        except BaseException as error:  # noqa: BLE001 – raised again by `done` in the main thread
            self._error = error

    @property
    def running(self) -> bool:
        """Whether the thread still works."""
        return self._thread.is_alive()

    def done(self) -> bool:
        """Whether the work is done; raises what it raised."""
        if self.running:
            return False
        if self._error is not None:
            raise self._error
        return True


def in_sequence(*steps: Callable[[], Callable[[], bool]]) -> Callable[[], bool]:
    """A condition made of steps: each is begun when the one before is done."""
    left = list(steps)
    current: list[Callable[[], bool]] = []

    def done() -> bool:
        while True:
            if current:
                if not current[0]():
                    return False
                current.clear()
            if not left:
                return True
            current.append(left.pop(0)())

    return done
