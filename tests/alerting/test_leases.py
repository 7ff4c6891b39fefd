"""Who reads what, while processes stop in the middle of a batch: what they hold is in nobody's way."""

import contextlib
import time
from collections.abc import AsyncIterator

import asyncpg
import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from services.alerting import store
from services.alerting.core.learning import keys_of
from services.alerting.database import create_engine, in_transaction
from services.alerting.reading import leases
from services.alerting.reading.leases import Move, Position
from services.alerting.tables import incidents, partitions
from tests.alerting.conftest import TOPIC, Shell
from tests.alerting.reading import reports_of
from tests.core.office import report, rules

AT_ONCE = 1.0
"""Seconds: half of what a lock is waited for."""


async def _keep(engine: AsyncEngine, owner: str) -> tuple[set[int], set[int]]:
    """One round of a process: which partitions it renewed, and which it holds."""

    async def work(tx: AsyncConnection) -> tuple[set[int], set[int]]:
        renewed = await leases.renew(tx, owner, TOPIC, {})
        return renewed, set(await leases.claim(tx, owner, TOPIC))

    return await in_transaction(engine, work)


async def _register(engine: AsyncEngine, *numbers: int) -> None:
    await in_transaction(engine, lambda tx: leases.register(tx, TOPIC, numbers))


async def _run_out(engine: AsyncEngine) -> None:
    """All leases have run out just now."""
    ended = sa.update(partitions).values(lease_until=sa.text("clock_timestamp() - interval '1 second'"))
    async with engine.begin() as tx:
        await tx.execute(ended)


@contextlib.asynccontextmanager
async def _in_a_batch(database_url: str, partition: int) -> AsyncIterator[None]:
    """Somebody is in the middle of a batch of this partition, without any of our time-outs."""
    connection = await asyncpg.connect(database_url)
    try:
        async with connection.transaction():
            await connection.execute("UPDATE partitions SET next_offset = 1 WHERE partition = $1", partition)
            yield
    finally:
        await connection.close()


async def test_a_renewal_waits_for_no_batch(database: AsyncEngine, database_url: str) -> None:
    await _register(database, 0, 1, 2)
    await _keep(database, "me")
    async with _in_a_batch(database_url, 1):
        began = time.monotonic()
        assert await _keep(database, "me") == ({0, 2}, {0, 1, 2})
        assert time.monotonic() - began < AT_ONCE


async def test_a_lease_that_ran_out_during_a_batch_is_kept(database: AsyncEngine, database_url: str) -> None:
    await _register(database, 0, 1)
    await _keep(database, "me")
    await _run_out(database)
    async with _in_a_batch(database_url, 1):
        assert await _keep(database, "me") == ({0}, {0, 1})
    assert await _keep(database, "me") == ({0, 1}, {0, 1})


async def test_what_a_stopped_process_holds_is_taken_later_and_the_rest_at_once(
    database: AsyncEngine, database_url: str
) -> None:
    await _register(database, 0, 1, 2)
    await _keep(database, "stopped")
    async with database.begin() as tx:
        await tx.execute(sa.text("UPDATE processes SET seen_at = seen_at - interval '1 minute'"))
    await _run_out(database)
    async with _in_a_batch(database_url, 0):
        began = time.monotonic()
        assert (await _keep(database, "me"))[1] == {1, 2}
        assert time.monotonic() - began < AT_ONCE
    assert (await _keep(database, "me"))[1] == {0, 1, 2}


async def test_a_press_at_a_place_that_a_stopped_process_holds(database_url: str) -> None:
    """With what a process really sets for its sessions: it stopped between two statements of a batch."""
    stopped, other = create_engine(database_url), create_engine(database_url)
    shell = Shell(other)
    event = report(shell.now, id="in hand")
    places = keys_of(event, rules())
    move = Move(Position(TOPIC, 1, 0), "stopped", 1, event.id)

    async def press_while_it_stands(tx: AsyncConnection) -> None:
        await store.begin_batch(tx, move, {event.id: "digest"}, places, shell.now)
        assert await store.load_for_update(tx, [], places, closed_after=shell.now)
        began = time.monotonic()
        await shell.apply(report(shell.now, id="second"))
        assert time.monotonic() - began < 5
        await tx.execute(sa.text("SELECT 1"))  # it wakes up

    try:
        await shell.lease()
        await shell.apply(report(shell.now, id="first"))
        await _register(other, 0, 1)
        async with other.begin() as tx:
            await tx.execute(sa.update(partitions).where(partitions.c.partition == 1).values(owner="stopped"))
        with pytest.raises(DBAPIError):
            await in_transaction(stopped, press_while_it_stands)
        (incident,) = await shell.rows(incidents)
        assert reports_of(incident) == ["first", "second"]
    finally:
        await stopped.dispose()
        await other.dispose()


async def test_a_partition_that_the_topic_no_longer_has_holds_up_no_step(shell: Shell) -> None:
    await shell.apply(report(shell.now))
    await shell.lease()
    await _register(shell.database, 0, 1)
    shell.later(minutes=10)
    assert await shell.engine.fire() == 0  # partition 1 may have something that was not read yet
    await _register(shell.database, 0)
    assert [row.partition for row in await shell.rows(partitions)] == [0]
    assert await shell.engine.fire() == 1


async def test_a_broker_that_has_not_heard_of_a_partition_takes_none_away(shell: Shell) -> None:
    await _register(shell.database, 0, 1)

    async def caught_up(tx: AsyncConnection) -> None:
        await leases.claim(tx, shell.owner, TOPIC)
        await leases.renew(tx, shell.owner, TOPIC, {0: True, 1: True})

    await in_transaction(shell.database, caught_up)
    await _register(shell.database, 0)
    assert len(await shell.rows(partitions)) == 2
