"""What stands in the journal's file: its table, and how it is read and written."""

import contextlib
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, Final, NamedTuple

APPLICATION_ID: Final = 0x52754A6F
VERSION: Final = 1
_SCHEMA: Final = """
CREATE TABLE entries (
    number INTEGER PRIMARY KEY, event_id TEXT NOT NULL UNIQUE, headers TEXT NOT NULL, value BLOB NOT NULL,
    stored_at REAL NOT NULL, acknowledged INTEGER NOT NULL, taken INTEGER NOT NULL, heard INTEGER NOT NULL,
    mailed_at REAL
)"""
_COLUMNS: Final = "event_id, headers, value, stored_at, acknowledged, taken, heard, mailed_at"
# In its place: half of what it costs to delete a row and insert it anew (`INSERT OR REPLACE`).
_UPDATE: Final = ", ".join(f"{name} = excluded.{name}" for name in _COLUMNS.split(", "))
_AT_ONCE: Final = 100


class Row(NamedTuple):
    """One entry as it is stored: a Kafka record and what is known of it. Times are seconds since the epoch."""

    event_id: str
    headers: str
    value: bytes
    stored_at: float
    acknowledged: bool
    taken: bool
    heard: bool
    mailed_at: float | None


def create(connection: sqlite3.Connection) -> None:
    """As a whole or not at all, and not in a write-ahead log yet: a file's first bytes say whose it is."""
    connection.execute("BEGIN IMMEDIATE")
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {VERSION}")
    connection.execute(_SCHEMA)
    connection.execute("COMMIT")


def read(connection: sqlite3.Connection) -> Iterator[Row]:
    """All rows, oldest first."""
    return (_row(found) for found in connection.execute(f"SELECT {_COLUMNS} FROM entries ORDER BY number"))  # noqa: S608 – our names


def read_what_can_be_read(connection: sqlite3.Connection) -> Iterator[Row]:
    """The rows of a damaged file: from either end up to the damage, then one by one in between."""
    reached: list[int] = []
    for order in ("ASC", "DESC"):
        # Without the index, which may be what is damaged.
        everything = f"SELECT {_COLUMNS}, number FROM entries NOT INDEXED ORDER BY number {order}"  # noqa: S608 – our names
        try:
            for *found, number in connection.execute(everything):
                reached.append(number)
                yield _row(found)
        except (sqlite3.Error, ValueError, TypeError):
            continue
        return
    one = f"SELECT {_COLUMNS} FROM entries NOT INDEXED WHERE number = ?"  # noqa: S608 – our names
    missing = sorted(set(range(min(reached, default=0), max(reached, default=0))).difference(reached))
    for number in missing:
        with contextlib.suppress(sqlite3.Error, ValueError, TypeError):
            yield from map(_row, connection.execute(one, (number,)))


def _row(found: Sequence[Any]) -> Row:
    event_id, headers, value, stored_at, acknowledged, taken, heard, mailed_at = found
    return Row(event_id, headers, bytes(value), stored_at, bool(acknowledged), bool(taken), bool(heard), mailed_at)


def write(connection: sqlite3.Connection, changes: Mapping[str, Row | None]) -> None:
    """All changes in one transaction, on disk when it returns; None deletes.

    Few statements, whatever their number of rows: after each one the thread waits for the interpreter, and while the
    event loop is busy that can take milliseconds.
    """
    rows = [row for row in changes.values() if row is not None]
    gone = [event_id for event_id, row in changes.items() if row is None]
    if not gone and len(rows) <= _AT_ONCE:
        _put(connection, rows)
        return
    connection.execute("BEGIN IMMEDIATE")
    for first in range(0, len(gone), _AT_ONCE):
        some = gone[first : first + _AT_ONCE]
        connection.execute(f"DELETE FROM entries WHERE event_id IN ({_places(len(some))})", some)  # noqa: S608 – places
    for first in range(0, len(rows), _AT_ONCE):
        _put(connection, rows[first : first + _AT_ONCE])
    connection.execute("COMMIT")


def _put(connection: sqlite3.Connection, rows: Sequence[Row]) -> None:
    if not rows:
        return
    one = f"({_places(len(Row._fields))})"
    values = ", ".join([one] * len(rows))
    upsert = f"INSERT INTO entries ({_COLUMNS}) VALUES {values} ON CONFLICT (event_id) DO UPDATE SET {_UPDATE}"  # noqa: S608 – names and places
    # As one of many: `execute` gives the interpreter away once more, to ask for the number of the last row.
    connection.executemany(upsert, [[*chain.from_iterable(rows)]])


def _places(count: int) -> str:
    return ", ".join("?" * count)


def kind_of(error: sqlite3.Error) -> int:
    """SQLite's primary result code."""
    return int(getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)) & 0xFF


def name_of(error: sqlite3.Error) -> str:
    """SQLite's name for what went wrong; its text may quote what a file holds."""
    return str(getattr(error, "sqlite_errorname", type(error).__name__))
