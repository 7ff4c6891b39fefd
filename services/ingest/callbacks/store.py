"""The callbacks' file beside the journal: which presses their devices are told about, and what was told.

SQLite, fsynced, used by one thread at a time. A file that cannot be read is set aside and a new one begun: what is
lost with it are answers to buttons, never an event.
"""

import contextlib
import sqlite3
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from services.ingest.callbacks.press import Press

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS presses (
    event_id TEXT PRIMARY KEY, source TEXT NOT NULL, device_id TEXT NOT NULL, exercise INTEGER NOT NULL,
    accepted_at REAL NOT NULL, told TEXT
) WITHOUT ROWID"""
_CORRUPT: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)


class Unstored(Exception):
    """The file cannot be used at the moment; the message is the kind of failure."""


class Store:
    """The file, opened when it is first needed, and anew after a failure."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None

    def load(self) -> list[Press]:
        """What an earlier process left.

        Raises:
            Unstored: not now.
        """
        try:
            rows = self._open().execute("SELECT * FROM presses").fetchall()
        except (sqlite3.Error, OSError) as error:
            raise self._failed(error) from error
        return [
            Press(event_id, source, device, bool(drill), at, told) for event_id, source, device, drill, at, told in rows
        ]

    def write(self, changes: Mapping[str, Press | None]) -> None:
        """All in one transaction, on disk when it returns; None deletes.

        Raises:
            Unstored: nothing was written.
        """
        puts = [(p.event_id, p.source, p.device_id, p.exercise, p.accepted_at, p.told) for p in changes.values() if p]
        gone = [(event_id,) for event_id, press in changes.items() if press is None]
        try:
            connection = self._open()
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany("INSERT OR REPLACE INTO presses VALUES (?, ?, ?, ?, ?, ?)", puts)
            connection.executemany("DELETE FROM presses WHERE event_id = ?", gone)
            connection.execute("COMMIT")
        except (sqlite3.Error, OSError) as error:
            raise self._failed(error) from error

    def close(self) -> None:
        """Let go of the file."""
        if self._connection is not None:
            with contextlib.suppress(sqlite3.Error):
                self._connection.close()
            self._connection = None

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            try:
                self._connection = self._opened()
            except sqlite3.DatabaseError as error:
                if error.sqlite_errorcode & 0xFF not in _CORRUPT:
                    raise
                self._set_aside()
                self._connection = self._opened()
        return self._connection

    def _opened(self) -> sqlite3.Connection:
        self._path.touch(mode=0o600)
        connection = sqlite3.connect(self._path, isolation_level=None, timeout=0, check_same_thread=False)
        try:
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")  # two processes must not tell the same
            connection.execute("PRAGMA journal_mode = WAL").fetchall()
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute(_SCHEMA)
            connection.execute("SELECT event_id, source, device_id, exercise, accepted_at, told FROM presses LIMIT 1")
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    def _set_aside(self) -> None:
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        for ending in ("", "-wal", "-shm"):
            part = self._path.with_name(f"{self._path.name}{ending}")
            if part.exists():
                part.replace(part.with_name(f"{self._path.name}.corrupt-{stamp}{ending}"))

    def _failed(self, error: Exception) -> Unstored:
        self.close()
        name = getattr(error, "sqlite_errorname", None)
        return Unstored(name if isinstance(name, str) else type(error).__name__)
