"""What counts as a database that is away, and is waited for, and what as our own mistake, which is not."""

import asyncio

import asyncpg
import pytest
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql.asyncpg import AsyncAdapt_asyncpg_dbapi

from services.alerting.database import patiently
from services.alerting.mailing import outbox as mails
from services.alerting.mailing.holder import new_holder
from services.common.outage import Outage
from tests.alerting.conftest import Shell
from tests.alerting.test_mailer import at_night
from tests.core.office import report

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


async def _operator(shell: Shell) -> asyncpg.Connection:
    """A connection of its own, from which others are ended."""
    return await asyncpg.connect(shell.database.url.set(drivername="postgresql").render_as_string(hide_password=False))


async def test_connections_that_ended_while_they_were_idle_hold_up_no_claim(shell: Shell) -> None:
    at_night(shell)
    await shell.apply(report(shell.now, id="e"))

    async def pid_of_one() -> int:
        async with shell.database.connect() as connection:
            await connection.execute(sa.text("SELECT pg_sleep(0.1)"))  # so that each gets one of its own
            return int(await connection.scalar(sa.text("SELECT pg_backend_pid()")) or 0)

    pids = await asyncio.gather(*(pid_of_one() for _ in range(5)))
    operator = await _operator(shell)
    await operator.fetch("SELECT pg_terminate_backend(pid) FROM unnest($1::int[]) AS pid", pids)
    while await operator.fetchval("SELECT count(*) FROM pg_stat_activity WHERE pid = ANY($1)", pids):
        await asyncio.sleep(0.01)
    await operator.close()
    claims = [await mails.claim(shell.database, new_holder(), 10) for _ in range(6)]
    assert [len(claim) for claim in claims] == [1, 0, 0, 0, 0, 0]


async def test_claims_go_on_while_connections_end_in_the_middle_of_them(shell: Shell) -> None:
    """The driver then says what no other error of a database is: once that ended the process."""

    async def claim_for_ever() -> None:
        while True:
            await patiently(Outage("database"), lambda: mails.claim(shell.database, new_holder(), 10))

    claiming = [asyncio.create_task(claim_for_ever()) for _ in range(15)]
    operator = await _operator(shell)
    for _ in range(300):
        await operator.fetch(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid() AND random() < 0.5"
        )
        await asyncio.sleep(0.005)
    await operator.close()
    assert [task.exception() for task in claiming if task.done()] == []
    for task in claiming:
        task.cancel()
    await asyncio.gather(*claiming, return_exceptions=True)
    assert await mails.claim(shell.database, new_holder(), 10) == []
