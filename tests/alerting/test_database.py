"""What counts as a database that is away, and is waited for, and what as our own mistake, which is not."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import asyncpg
import pytest
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql.asyncpg import AsyncAdapt_asyncpg_dbapi
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from structlog.testing import capture_logs

from services.alerting.database import create_engine, in_transaction, is_too_long, patiently
from services.alerting.mailing import outbox as mails
from services.alerting.mailing.holder import new_holder
from services.common.outage import Outage
from tests.alerting.conftest import Shell, limited_engine
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


async def _asks_for_too_much(tx: AsyncConnection) -> None:
    await tx.execute(sa.text("SELECT pg_sleep(5)"))


async def _computes_too_long(tx: AsyncConnection) -> None:
    await tx.execute(sa.text("SELECT 1"))
    time.sleep(0.5)  # noqa: ASYNC251 – what decides about many records lets nothing else go on
    await tx.execute(sa.text("SELECT 2"))


async def _commits_too_late(tx: AsyncConnection) -> None:
    await tx.execute(sa.text("SELECT 1"))
    time.sleep(0.5)  # noqa: ASYNC251 – as above


async def _is_ended(tx: AsyncConnection) -> None:
    await tx.execute(sa.text("SELECT pg_terminate_backend(pg_backend_pid())"))


@pytest.mark.parametrize(
    ("limit", "work"),
    [
        ("transaction_timeout", _asks_for_too_much),
        ("transaction_timeout", _computes_too_long),
        ("transaction_timeout", _commits_too_late),
        ("idle_in_transaction_session_timeout", _computes_too_long),
        ("idle_in_transaction_session_timeout", _commits_too_late),
        ("statement_timeout", _asks_for_too_much),
    ],
)
async def test_a_transaction_that_takes_too_long_is_no_database_that_is_away(
    database_url: str, limit: str, work: Callable[[AsyncConnection], Awaitable[None]]
) -> None:
    engine, outage = limited_engine(database_url, **{limit: "200ms"}), Outage("database")
    outage.over()
    try:
        with pytest.raises(DBAPIError) as raised:
            await patiently(outage, lambda: in_transaction(engine, work), raising=is_too_long)
        assert is_too_long(raised.value)
        assert outage.down is None
    finally:
        await engine.dispose()


async def test_a_session_that_was_ended_took_not_too_long(database: AsyncEngine) -> None:
    with pytest.raises(DBAPIError) as raised:
        await in_transaction(database, _is_ended)
    assert not is_too_long(raised.value)


async def test_sessions_of_a_process_that_stops_end_by_themselves(database_url: str) -> None:
    engine = create_engine(database_url)
    limits = ("transaction_timeout", "idle_in_transaction_session_timeout", "lock_timeout", "tcp_keepalives_idle")
    try:
        async with engine.connect() as connection:
            shown = [await connection.scalar(sa.text(f"SHOW {limit}")) for limit in limits]
    finally:
        await engine.dispose()
    assert shown == ["5s", "2s", "2s", "5"]


@pytest.mark.parametrize(("attempts", "outages"), [(2, 0), (6, 1)])
async def test_a_lock_that_somebody_holds_is_an_outage_only_when_it_lasts(
    database_url: str, attempts: int, outages: int
) -> None:
    engine, outage = limited_engine(database_url, lock_timeout="200ms"), Outage("database")
    holder = await asyncpg.connect(database_url)
    made = 0

    async def wait_for_the_lock(tx: AsyncConnection) -> None:
        nonlocal made
        made += 1
        if made == attempts:
            await holder.execute("SELECT pg_advisory_unlock(7)")
        await tx.execute(sa.text("SELECT pg_advisory_xact_lock(7)"))

    try:
        await holder.execute("SELECT pg_advisory_lock(7)")
        with capture_logs() as lines:
            await patiently(outage, lambda: in_transaction(engine, wait_for_the_lock))
    finally:
        await holder.close()
        await engine.dispose()
    assert made == attempts
    assert [line["event"] for line in lines].count("database.unreachable") == outages


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
    assert [claim.count for claim in claims] == [1, 0, 0, 0, 0, 0]


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
    assert (await mails.claim(shell.database, new_holder(), 10)).count == 0
