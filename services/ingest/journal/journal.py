"""The journal: what this process answers for, on disk before the answer.

One thread owns the file. Whatever waits when it turns to the file goes there in one transaction with one fsync, so
that the cost of an fsync is shared by all who come at the same time. Whatever happens to the file, nothing here ends
the process: an event that cannot be journalled is said to be so, and the file is tried again.
"""

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Final

import structlog

from services.common.turn import EndOfTurn
from services.ingest.journal.file import Damaged, JournalFile, Lock, Unusable, open_journal
from services.ingest.journal.pending import TICK, Changes, Pending
from services.ingest.journal.rows import Row
from services.ingest.loops import end_process
from services.ingest.metrics import FSYNC, JOURNAL_WRITABLE

log = structlog.get_logger()

_RETRY_AFTER: Final = 1.0
_LOOK_EVERY: Final = 2.0
_SLOW: Final = 2.0
"""Seconds after which a disk that does not answer counts as none."""
_HANGS: Final = "the disk does not answer"
_TIDY_AFTER: Final = 2.0
_TIDY_AT_LAST: Final = 60.0
_SAY_EVERY: Final = 30.0
_OPEN_WITHIN: Final = 5.0
_CLOSE_WITHIN: Final = 3.0


class Unjournalled(Exception):
    """The journal cannot keep the event; the message says why, without values of the event."""


Opened = Callable[[list[Row], bool], None]
"""Called in the event loop after an opening, with the rows of the file and whether it was the first opening."""


class Journal:
    """The writer thread, seen from the event loop."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = Lock(path.with_name(f"{path.name}.lock"))
        self.pending = Pending()
        self._bell: SimpleQueue[None] = SimpleQueue()
        self._turn = EndOfTurn(self._ring)
        """For what is written: rung for at once, the thread would begin with the first of many, and the rest wait."""
        self._thread: threading.Thread | None = None
        self._file: JournalFile | None = None
        self._stored: set[str] = set()
        self._problem: str | None = "it is being opened"
        self._since = self._said_at = 0.0
        self._busy_since: float | None = None
        self._hung_since: float | None = None
        self._hung_said_at = float("-inf")
        self._try_at = 0.0
        self._opened_before = False
        self._soiled_at: float | None = None
        self._quiet_since = self._looked_at = 0.0
        self._stopping = False

    @property
    def problem(self) -> str | None:
        """Why nothing can be written at the moment; None while all is well."""
        return _HANGS if self._problem is None and self._hangs else self._problem

    @property
    def _hangs(self) -> bool:
        busy = self._busy_since
        return busy is not None and time.monotonic() - busy > _SLOW

    async def start(self, opened: Opened) -> None:
        """Open the file; returns after the first attempt, or when the disk takes too long for it."""
        self._loop = asyncio.get_running_loop()
        self._opened = opened
        tried = asyncio.Event()
        self._thread = threading.Thread(target=self._work, args=(tried,), name="journal", daemon=True)
        self._thread.start()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_OPEN_WITHIN):
                await tried.wait()

    async def stop(self) -> None:
        """Write what is left and close the file, within a few seconds whatever the disk does."""
        self._stopping = True
        self._ring()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join, _CLOSE_WITHIN)

    def write(self, *rows: Row) -> asyncio.Future[None]:
        """A future that is done when the rows are on disk, all at once, and fails with `Unjournalled`.

        They go there all the same, together, as soon as that is possible.
        """
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self._hangs:
            # Nobody waits for its end: who knows when that is, and all that they hold would be kept until then.
            self.pending.put(*rows)
            _resolve([written], self.problem or _HANGS)  # it may answer again just now
        else:
            self.pending.add(rows, written)
        self._turn.ask()
        return written

    def _ring(self) -> None:
        """Wake the thread, which takes what waits after it has heard this; a queue costs less than an event."""
        if self._bell.empty():
            self._bell.put(None)

    def put(self, row: Row) -> None:
        """Write it soon; nobody waits."""
        self.pending.put(row)

    def forget(self, event_id: str) -> None:
        """Delete it soon; nobody waits."""
        self.pending.forget(event_id)

    def look(self) -> None:
        """Say that the disk hangs, and that it answers again: the thread that waits for it can say nothing."""
        busy, now = self._busy_since, time.monotonic()
        if busy is None or now - busy <= (_SLOW if self._opened_before else _OPEN_WITHIN):
            if self._hung_since is not None and self._problem is None:
                JOURNAL_WRITABLE.set(1)
                log.info("journal.recovered", after_s=round(now - self._hung_since, 1))
            self._hung_since = None
        elif not self._since and now - self._hung_said_at >= _SAY_EVERY:
            self._hung_since, self._hung_said_at = busy, now
            JOURNAL_WRITABLE.set(0)
            log.error("journal.unavailable", reason=self.problem, since=round(now - busy))

    def _work(self, tried: asyncio.Event) -> None:
        try:
            self._round()
            self._post(tried.set)
            while not self._stopping:
                with contextlib.suppress(Empty):
                    self._bell.get(timeout=TICK)
                self._round()
            self._round()
            if self._file is not None:
                self._file.close()
        except Exception as error:  # noqa: BLE001 – a thread's end is not seen by itself: the process ends as with any bug
            self._post(end_process, "journal", error)
        finally:
            self._lock.release()

    def _round(self) -> None:
        """Write what waits; without anything that waits, look after the file."""
        changes, waiters = self.pending.take(everything=self._stopping)
        problem = None
        self._busy_since = time.monotonic()
        try:
            self._write(changes)
        except Unusable as unusable:
            self.pending.give_back(changes, self._stored)
            self._failed(str(unusable))
            problem = str(unusable)
        finally:
            self._busy_since = None
        if waiters:
            self._post(_resolve, waiters, problem)

    def _write(self, changes: Changes) -> None:
        """As `_round`, once more on a file opened anew when the one at hand broke.

        Raises:
            Unusable: nothing was written.
        """
        now = time.monotonic()
        if self._problem is not None and now < self._try_at:
            raise Unusable(self._problem)
        for attempt in (1, 2):
            try:
                file = self._file or self._open()
                if changes:
                    self._commit(file, changes)
                else:
                    self._look_after(file)
            except Damaged as damaged:
                if self._file is not None:
                    self._file.close()
                self._file, self._stored = None, set()
                if attempt == 2:
                    raise Unusable(f"the disk or the file cannot be used ({damaged})") from damaged
            else:
                self._works()
                return

    def _commit(self, file: JournalFile, changes: Changes) -> None:
        if time.monotonic() - self._looked_at > _LOOK_EVERY:
            self._look(file)
        started = time.perf_counter()
        file.write(changes)
        for event_id, row in changes.items():
            (self._stored.discard if row is None else self._stored.add)(event_id)
        FSYNC.observe(time.perf_counter() - started)
        self._quiet_since = time.monotonic()
        if self._soiled_at is None and None in changes.values():
            self._soiled_at = self._quiet_since
        if self._soiled_at is not None and self._quiet_since - self._soiled_at > _TIDY_AT_LAST:
            self._tidy(file)

    def _look(self, file: JournalFile) -> None:
        self._looked_at = time.monotonic()
        file.check_in_place()

    def _look_after(self, file: JournalFile) -> None:
        self._look(file)
        if self._soiled_at is not None and time.monotonic() - self._quiet_since > _TIDY_AFTER:
            self._tidy(file)

    def _tidy(self, file: JournalFile) -> None:
        file.tidy()
        self._soiled_at = None

    def _open(self) -> JournalFile:
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise Unusable(f"its directory cannot be made: {error.strerror}") from error
        file = open_journal(self._path, self._lock)
        self._file, self._stored = file, {row.event_id for row in file.rows}
        for finding in file.findings:
            log.error("journal.replaced", finding=finding, recovered=file.recovered)
        self._soiled_at = time.monotonic()
        self._post(self._deliver, file.rows, not self._opened_before)
        self._opened_before = True
        file.rows = []
        return file

    def _deliver(self, rows: list[Row], first: bool) -> None:
        self._opened(rows, first)
        self._ring()

    def _failed(self, reason: str) -> None:
        now = time.monotonic()
        if self._problem is None or not self._since:
            self._since, self._said_at = now, now - _SAY_EVERY
            JOURNAL_WRITABLE.set(0)
        self._problem = reason
        if now >= self._try_at:
            self._try_at = now + _RETRY_AFTER
        if now - self._said_at >= _SAY_EVERY:
            self._said_at = now
            log.error("journal.unavailable", reason=reason, since=round(now - self._since))

    def _works(self) -> None:
        if self._problem is not None:
            self._problem = None
            JOURNAL_WRITABLE.set(1)
            if self._since:
                log.info("journal.recovered", after_s=round(time.monotonic() - self._since, 1))
            self._since = 0.0

    def _post(self, what: Callable[..., None], *arguments: object) -> None:
        # A disk that hung through our whole stop finds the event loop closed: nobody waits any more.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(what, *arguments)


def _resolve(waiters: list[asyncio.Future[None]], problem: str | None) -> None:
    for waiter in waiters:
        if waiter.done():
            continue
        if problem is None:
            waiter.set_result(None)
        else:
            waiter.set_exception(Unjournalled(problem))
            # Whoever waited may have its answer from Kafka already.
            waiter.exception()
