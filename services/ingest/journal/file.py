"""The journal's file: SQLite, held by one process, and opened with suspicion.

A file that is not ours, or of a newer version, is left as it is, and one beside it is used. A corrupt one is renamed,
and what can be read of it goes into a new one. Nothing here deletes or overwrites what it does not understand.
"""

import contextlib
import fcntl
import os
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from services.ingest.journal import rows as journal_rows
from services.ingest.journal.aside import Finding, beside, examine, remove, salvaged, set_aside
from services.ingest.journal.rows import VERSION, Row, kind_of, name_of

_CORRUPT: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR, sqlite3.SQLITE_FORMAT)


class Unusable(Exception):
    """There is no journal at the moment; the message says why, in words without paths."""


class Damaged(Exception):
    """The file that is open turned out to be broken, or is no longer in its place: open it again."""


class _Corrupt(Exception):
    pass


class Lock:
    """One process per journal. The kernel releases it when the process ends, however it ends."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._handle: int | None = None

    def take(self) -> None:
        """Hold it; does nothing when it is held already.

        Raises:
            Unusable: another process holds it.
            OSError: its file cannot be made.
        """
        if self._handle is not None:
            return
        handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            raise Unusable("another process holds it") from None
        self._handle = handle

    def release(self) -> None:
        """Let another process have it."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


class JournalFile:
    """An open journal, for one thread.

    `rows` is what it held when it was opened, `findings` what was wrong with the files that were there, `recovered`
    how many entries came out of a corrupt one.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection, rows: list[Row]) -> None:
        self._path = path
        self._connection = connection
        self._inode = path.stat().st_ino
        self.rows = rows
        self.findings: list[Finding] = []
        self.recovered = 0

    def write(self, changes: Mapping[str, Row | None]) -> None:
        """All changes in one transaction, on disk when it returns; None deletes.

        Raises:
            Unusable: nothing was written: the disk is full.
            Damaged: nothing was written, and the file has to be opened again.
        """
        if not changes:
            return
        try:
            journal_rows.write(self._connection, changes)
        except sqlite3.Error as error:
            with contextlib.suppress(sqlite3.Error):
                self._connection.rollback()
            raise _said(error) from error

    def tidy(self) -> None:
        """Empty the write-ahead log, so that no text of a deleted entry stays in it.

        Raises:
            Unusable: not now: the disk is full.
            Damaged: the file has to be opened again.
        """
        try:
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        except sqlite3.Error as error:
            raise _said(error) from error

    def check_in_place(self) -> None:
        """Notice that somebody moved or deleted the file: what went into it would be lost.

        Raises:
            Damaged: it is gone.
        """
        try:
            there = self._path.stat().st_ino == self._inode
        except OSError:
            there = False
        if not there:
            raise Damaged("its file was moved or deleted")

    def close(self) -> None:
        """Also empties the write-ahead log where that is possible."""
        with contextlib.suppress(sqlite3.Error):
            self._connection.close()


def open_journal(path: Path, lock: Lock) -> JournalFile:
    """The journal at this path, made when there is none; its directory is there.

    Raises:
        Unusable: not at the moment; try again later.
    """
    try:
        lock.take()
        finding = examine(path)
        if finding is not None:
            journal = _own(beside(path))
            journal.findings.insert(0, finding)
        else:
            journal = _own(path)
            _adopt(beside(path), journal)
    except OSError as error:
        raise Unusable(error.strerror or type(error).__name__) from error
    except (sqlite3.Error, _Corrupt) as error:
        raise Unusable(name_of(error) if isinstance(error, sqlite3.Error) else "it cannot be read") from error
    return journal


def _own(path: Path) -> JournalFile:
    try:
        return _opened(path)
    except _Corrupt:
        rows = salvaged(set_aside(path))
    journal = _opened(path)
    journal.findings.append("corrupt")
    journal.recovered = len(rows)
    _add(journal, rows)
    return journal


def _opened(path: Path) -> JournalFile:
    path.touch(mode=0o600)
    connection = sqlite3.connect(path, isolation_level=None, timeout=0, check_same_thread=False)
    try:
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")  # one process: no shared memory file
        if not connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
            journal_rows.create(connection)
        connection.execute("PRAGMA journal_mode = WAL").fetchall()
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA secure_delete = ON").fetchall()
        if connection.execute("PRAGMA quick_check(1)").fetchone()[0] != "ok":
            raise _Corrupt
        if connection.execute("PRAGMA user_version").fetchone()[0] > VERSION:
            raise Unusable("it is of a newer version")
        return JournalFile(path, connection, list(journal_rows.read(connection)))
    except (ValueError, TypeError) as error:
        connection.close()
        raise _Corrupt from error
    except sqlite3.Error as error:
        connection.close()
        if kind_of(error) in _CORRUPT:
            raise _Corrupt from error
        raise
    except BaseException:
        connection.close()
        raise


def _adopt(path: Path, journal: JournalFile) -> None:
    """Take over what stands in the file that was used while the proper one could not be."""
    if not path.exists() or examine(path) is not None:
        return
    other = _own(path)
    journal.findings += other.findings
    journal.recovered += other.recovered
    try:
        _add(journal, other.rows)
    finally:
        other.close()
    remove(path)


def _add(journal: JournalFile, rows: list[Row]) -> None:
    known = {row.event_id for row in journal.rows}
    new = [row for row in rows if row.event_id not in known]
    try:
        journal.write({row.event_id: row for row in new})
    except Damaged as error:
        journal.close()
        raise Unusable(str(error)) from error
    except Unusable:
        journal.close()
        raise
    journal.rows += new


def _said(error: sqlite3.Error) -> Unusable | Damaged:
    return Unusable("the disk is full") if kind_of(error) == sqlite3.SQLITE_FULL else Damaged(name_of(error))
