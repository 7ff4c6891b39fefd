"""What is decided without a lock, and written in one round trip if nothing has changed meanwhile.

To begin, lock, load, write and commit takes five round trips to the database, and an alarm waits for each of them.
Here one statement finds out by its first part whether everything is still as it was seen, and writes. What has changed
goes the way with locks (`Engine.commit`), which makes the same of it.
"""

import asyncio
import uuid
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from services.alerting.bulk import statement
from services.alerting.changes import Changes
from services.alerting.database import driver_connection
from services.alerting.handover import Handover
from services.alerting.saving import INSERTS, rows_of

log = structlog.get_logger()

WITHIN: Final = 2.0
"""Seconds for a round trip; then the way with locks is tried, over another connection."""


def saving_if(begun: str, arguments: int) -> str:
    """The statement that writes what was decided.

    `begun` are common table expressions with `arguments` parameters, of which `begun` has one row, or raises.
    """
    rows = {insert.table.name: f"${number}" for number, insert in enumerate(INSERTS, start=arguments + 1)}
    return statement(INSERTS, rows.__getitem__, first=begun, after="begun")


async def attempt(
    database: AsyncEngine, handover: Handover, work: Callable[[Any], Awaitable[set[uuid.UUID] | None]]
) -> bool:
    """Do work over asyncpg's own connection, out of the same pool; it answers which mails are new.

    Returns:
        Whether it was done. Else it was not possible so, and nothing was written – or it was, and the connection broke
        before that was known: then what it has changed tells.
    """
    new: set[uuid.UUID] | None = None
    try:
        async with driver_connection(database) as connection:
            new = await work(connection)
    except Exception as error:  # noqa: BLE001 – whatever it is, the way with locks meets it again, and says so
        log.debug("batch.redone", error=type(error).__name__)
    finally:
        handover.keep(new or set())
        handover.end(committed=new is not None)
    return new is not None


async def write(
    connection: Any, saving: str, arguments: Sequence[Any], changes: Changes, handover: Handover
) -> set[uuid.UUID] | None:
    """Write by a statement of `saving_if`; the mails are put together meanwhile.

    Returns:
        The ids of the mails that are new; None where that is not possible so, and nothing was written.
    """
    if changes.withdrawn:  # mails are withdrawn under locks
        return None
    handover.lease(changes)
    rows = rows_of(changes)
    values = [rows[insert.table.name] for insert in INSERTS]
    written = asyncio.ensure_future(connection.fetchval(saving, *arguments, *values, timeout=WITHIN))
    try:
        await asyncio.sleep(0)  # it is on its way; meanwhile
        handover.write()
        return set(map(uuid.UUID, await written))
    except BaseException:
        written.cancel()
        raise
