"""What counts as a database that is away, and is waited for, and what as our own mistake, which is not."""

import asyncpg
import pytest
from sqlalchemy.dialects.postgresql.asyncpg import AsyncAdapt_asyncpg_dbapi

from services.alerting.database import patiently
from services.common.outage import Outage

CLOSED = asyncpg.ConnectionDoesNotExistError("closed in the middle of operation")


@pytest.mark.parametrize(
    "error",
    [
        CLOSED,
        asyncpg.AdminShutdownError("terminating connection"),
        asyncpg.InterfaceError("connection is closed"),
        asyncpg.InternalClientError("cannot switch to state 12"),
        AsyncAdapt_asyncpg_dbapi.Error("closed while it was opened", CLOSED),  # type: ignore[no-untyped-call]  # of SQLAlchemy
        ConnectionRefusedError(),
        TimeoutError(),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_a_database_that_is_away_is_waited_for(error: Exception) -> None:
    attempts = 0

    async def work() -> int:
        nonlocal attempts
        attempts += 1
        if attempts == 1:
            raise error
        return attempts

    outage = Outage("database")
    assert await patiently(outage, work) == 2
    assert outage.down is None


@pytest.mark.parametrize(
    "error",
    [asyncpg.UndefinedTableError("no such table"), asyncpg.NotNullViolationError("null"), KeyError("a bug")],
    ids=lambda error: type(error).__name__,
)
async def test_refused_data_and_bugs_are_raised(error: Exception) -> None:
    async def work() -> None:
        raise error

    with pytest.raises(type(error)):
        await patiently(Outage("database"), work)
