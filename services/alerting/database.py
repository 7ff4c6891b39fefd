"""The connection pool, with time-outs so that a stopped process can never block the others."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, Final, TypeVar

import asyncpg
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql.asyncpg import AsyncAdapt_asyncpg_dbapi
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import PoolProxiedConnection
from sqlalchemy.util import greenlet_spawn

from services.common.loops import beat
from services.common.outage import Outage, pause

Result = TypeVar("Result")

_SESSION = {
    "application_name": "rufkette-alerting",
    "transaction_timeout": "5000",
    "idle_in_transaction_session_timeout": "2000",
    "lock_timeout": "2000",
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "10000",
    "jit": "off",
    # Each query that an alarm waits for has its index. Without figures about a table (of a new installation, after a
    # restore) PostgreSQL would read it whole, and keep that plan while the table grows.
    "enable_seqscan": "off",
}
_CONFLICTS = frozenset({"40001", "40P01", "55P03"})
"""The last is lock_timeout: somebody else's work, or a process that stopped in it, whose session ends in time."""
_DATA_FAULTS = frozenset({"22", "23"})
"""SQLSTATE classes of refused data and violated constraints."""
_TOO_LONG: Final = (
    asyncpg.TransactionTimeoutError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.QueryCanceledError,
)
_OURS = _DATA_FAULTS | {"42"}
"""Classes that trying again cannot heal: those, and wrong SQL."""


def driver_url(database_url: str) -> str:
    """`postgresql://…` as SQLAlchemy wants it for asyncpg."""
    return re.sub(r"^postgres(ql)?://", "postgresql+asyncpg://", database_url)


def _as_is(text: str) -> str:
    return text


def create_engine(database_url: str, *, connections: int = 20) -> AsyncEngine:
    """A pool on PostgreSQL ≥ 17, of which half is kept open.

    JSON columns take and give JSON text, because pydantic has serialised it already.
    """
    return create_async_engine(
        driver_url(database_url),
        pool_size=connections - connections // 2,
        max_overflow=connections // 2,
        pool_timeout=5,
        pool_use_lifo=True,
        hide_parameters=True,
        json_serializer=_as_is,
        json_deserializer=_as_is,
        connect_args={"server_settings": _SESSION, "timeout": 3, "command_timeout": 6},
    )


def sqlstate(error: BaseException) -> str:
    """PostgreSQL's error code, or an empty string."""
    of_the_driver = error.orig if isinstance(error, DBAPIError) else error
    return str(getattr(of_the_driver, "sqlstate", None) or "")


def is_data_fault(error: DBAPIError) -> bool:
    """Whether PostgreSQL refused the data itself (class 22 or 23), so that trying again cannot help."""
    return sqlstate(error)[:2] in _DATA_FAULTS


def is_too_long(error: BaseException) -> bool:
    """Whether PostgreSQL ended a transaction or a statement for the time it took: doing less at once may help.

    It ends the session then, and the driver says why as the cause of what it raises. Only a session that ended between
    two statements, while others had the event loop, cannot be told from one that the database's absence ended.
    """
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, _TOO_LONG):
        cause = cause.__cause__
    return cause is not None


LIGHTLY = sa.text("SET LOCAL synchronous_commit = off")
"""For what may be lost with the power without harm, so that an alarm's commit never waits for its flush."""


TEXTS = sa.ARRAY(sa.Text)
"""How arrays of any kind are bound where an alarm may wait, and cast by the statement: asyncpg asks PostgreSQL what an
array of anything else is, on each new connection, which takes 4 ms."""
WHOLE_TABLES = sa.text("SET LOCAL enable_seqscan = on")
"""For a query that counts most of what there is, and that no alarm waits for."""


async def in_transaction(engine: AsyncEngine, work: Callable[[AsyncConnection], Awaitable[Result]]) -> Result:
    """Run `work` in one transaction; conflicts between transactions are tried again, with an end to it."""
    attempts = 5
    for attempt in range(1, attempts + 1):
        try:
            async with engine.begin() as connection:
                return await work(connection)
        except DBAPIError as error:
            if sqlstate(error) not in _CONFLICTS or attempt == attempts:
                raise
    raise AssertionError("unreachable")


@asynccontextmanager
async def single_statement(engine: AsyncEngine) -> AsyncIterator[AsyncConnection]:
    """A connection for one statement, or for some that only read: without BEGIN and COMMIT, three round trips less."""
    async with engine.connect() as connection:
        yield await connection.execution_options(isolation_level="AUTOCOMMIT")


_OF_THE_DRIVER: Final = (
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # a connection ended in the middle of something
    AsyncAdapt_asyncpg_dbapi.Error,  # or while SQLAlchemy opened it for us
)
_ENDS: Final = frozenset({"08", "57"})
"""SQLSTATE classes after which a connection is of no use, whether or not that has been noticed."""


@asynccontextmanager
async def driver_connection(engine: AsyncEngine) -> AsyncIterator[Any]:
    """The connection as asyncpg has it, out of the same pool: SQLAlchemy would double the time of a round trip.

    Its errors are asyncpg's.
    """
    raw = await engine.raw_connection()
    while (connection := _of_asyncpg(raw)).is_closed():  # PostgreSQL ended it while it was idle
        raw.invalidate()
        raw.close()
        raw = await engine.raw_connection()
    try:
        yield connection
    except BaseException as error:
        # What PostgreSQL answers leaves the connection as good as it was.
        if not isinstance(error, asyncpg.PostgresError) or sqlstate(error)[:2] in _ENDS or connection.is_closed():
            raw.invalidate()
        raise
    finally:
        await greenlet_spawn(raw.close)  # one too many for the pool is ended, which waits for PostgreSQL


def _of_asyncpg(raw: PoolProxiedConnection) -> Any:
    return raw.driver_connection


def passes(error: Exception) -> bool:
    """Whether trying again can help: the database is away or busy. Else it refused data, or it is a bug of ours."""
    away = (DBAPIError, PoolTimeoutError, OSError, TimeoutError, *_OF_THE_DRIVER)
    return isinstance(error, away) and sqlstate(error)[:2] not in _OURS


def _never(_: BaseException) -> bool:
    return False


async def patiently(
    outage: Outage, work: Callable[[], Awaitable[Result]], *, raising: Callable[[BaseException], bool] = _never
) -> Result:
    """Do `work`, and again until it succeeds while the database is away.

    Refused data, our own bugs and what the caller wants to have raised are raised.
    """
    attempt = 0
    while True:
        try:
            result = await work()
        except Exception as error:
            if not passes(error) or raising(error):
                raise
            outage.noticed(error)
            await pause(attempt)
            attempt += 1
        else:
            outage.over()
            beat()
            return result
