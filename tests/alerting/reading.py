"""A consumer that reads in this process, and what is put on Kafka for it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from schemas import codec
from schemas.events import Event
from services.alerting import store
from services.alerting.consumer import Consumer
from services.alerting.tables import incidents
from services.common import kafka as clients
from services.common.outage import Outage
from services.common.settings import AlertingSettings
from tests.alerting.conftest import Shell

OWNER = "me"


@asynccontextmanager
async def reading(shell: Shell, settings: AlertingSettings) -> AsyncIterator[Consumer]:
    """A consumer that reads what it gets, until the end of the block."""
    consumer = Consumer(shell.engine, settings, OWNER, Outage("database"))
    loops = [asyncio.create_task(consumer.run()), asyncio.create_task(consumer.keep_leases())]
    try:
        yield consumer
    finally:
        for loop in loops:
            loop.cancel()
        await asyncio.gather(*loops, return_exceptions=True)


async def reported(shell: Shell) -> set[str]:
    """The ids of all reports that were applied."""
    return {id_ for row in await shell.rows(incidents) for id_ in reports_of(row)}


def reports_of(row: sa.Row[tuple[object, ...]]) -> list[str]:
    """The ids of the reports in an incident."""
    return list(store.from_json(row.state).event_ids)


async def send(settings: AlertingSettings, topic: str, partition: int, *events: Event) -> None:
    """Put events on a partition, at once."""
    producer = clients.producer(settings)
    await producer.start()
    try:
        records = [codec.encode(event) for event in events]
        sent = [
            await producer.send(
                topic, value=record.value, key=record.key, headers=list(record.headers), partition=partition
            )
            for record in records
        ]
        await asyncio.gather(*sent)
    finally:
        await producer.stop()


async def somebody_waits(database: AsyncEngine) -> bool:
    """Whether a session waits for a lock."""
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    async with database.connect() as connection:  # anew each time: a transaction sees the activity of its beginning
        return bool(await connection.scalar(sa.text(waiting)))


@asynccontextmanager
async def holding(database_url: str, lock: str) -> AsyncIterator[None]:
    """A transaction without any of our time-outs."""
    connection = await asyncpg.connect(database_url)
    try:
        async with connection.transaction():
            await connection.execute(lock)
            yield
    finally:
        await connection.close()


def holds(id_: str, known: set[str]) -> bool:
    """Whether this one is among them."""
    return id_ in known
