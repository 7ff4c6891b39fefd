"""Journal files that cannot be used: whose they are, where they are kept, and what can still be read of them."""

import contextlib
import os
import shutil
import sqlite3
import time
from pathlib import Path
from typing import Final, Literal

from services.ingest.journal.rows import APPLICATION_ID, VERSION, Row, read_what_can_be_read

Finding = Literal["foreign", "newer", "corrupt"]
_MAGIC: Final = b"SQLite format 3\x00"
_LOGS: Final = ("-wal", "-journal")
_MOST_BYTES: Final = 1024**3


def examine(path: Path) -> Finding | None:
    """Whose file it is, by its first bytes; None when it is ours, empty, or not there.

    Raises:
        OSError: it cannot be read, or is no file.
    """
    if not path.exists():
        return None
    if not path.is_file():
        raise OSError(0, "the path is not a file")
    with path.open("rb") as file:
        header = file.read(100)
    if not header:
        return None
    if not header.startswith(_MAGIC) or int.from_bytes(header[68:72]) != APPLICATION_ID:
        return "foreign"
    return "newer" if int.from_bytes(header[60:64]) > VERSION else None


def beside(path: Path) -> Path:
    """The file that is used while the proper one is somebody else's."""
    return path.with_name(f"{path.name}.beside")


def set_aside(path: Path) -> Path:
    """Rename a corrupt journal; returns its new path.

    Raises:
        OSError: it cannot be renamed.
    """
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    aside = _unused(path.with_name(f"{path.name}.corrupt-{stamp}"))
    # Its logs first: without its database SQLite would delete a log.
    for end in (*_LOGS, ""):
        with contextlib.suppress(FileNotFoundError):
            _with(path, end).rename(_with(aside, end))
    return aside


def salvaged(aside: Path) -> list[Row]:
    """What can be read of a copy; the original stays as it was found."""
    copy = _with(aside, f".reading-{os.getpid()}")
    found: dict[str, Row] = {}
    try:
        for end in ("", *_LOGS):
            with contextlib.suppress(FileNotFoundError):
                shutil.copyfile(_with(aside, end), _with(copy, end))
        _lengthen(copy)
        with contextlib.closing(sqlite3.connect(copy, isolation_level=None)) as connection:
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            found = {row.event_id: row for row in read_what_can_be_read(connection)}
    except (OSError, sqlite3.Error):
        # Not even that; whoever needs more has the file.
        return list(found.values())
    finally:
        remove(copy)
    return sorted(found.values(), key=lambda row: row.stored_at)


def _lengthen(path: Path) -> None:
    """SQLite reads nothing of a file that is shorter than its first page says; zeros are damage that it can pass."""
    with path.open("r+b") as file:
        header = file.read(100)
        size = int.from_bytes(header[16:18]) * int.from_bytes(header[28:32])
        if file.seek(0, os.SEEK_END) < size <= _MOST_BYTES:
            file.truncate(size)


def remove(path: Path) -> None:
    """Delete a journal of which nothing is needed any more."""
    for end in ("", *_LOGS):
        _with(path, end).unlink(missing_ok=True)


def _unused(path: Path) -> Path:
    numbered, number = path, 1
    while numbered.exists():
        number += 1
        numbered = _with(path, f"-{number}")
    return numbered


def _with(path: Path, end: str) -> Path:
    return path.with_name(path.name + end)
