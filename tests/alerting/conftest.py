"""An engine on a real database, with a clock that tests move."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from pydantic import SecretStr
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from schemas import codec
from schemas.events import Event
from services.alerting.database import create_engine, in_transaction
from services.alerting.engine import Batch, Engine
from services.alerting.reading import leases
from services.alerting.reading.leases import Position
from services.alerting.tables import incidents, inputs, outbox, relay
from services.common.settings import AlertingSettings
from tests.core.office import rules
from tests.support.servers import PostgresServer

TOPIC = "incidents.events"


@dataclass
class Shell:
    """One process's engine, partition 0 leased, offsets counted."""

    database: AsyncEngine
    owner: str = "me"
    offset: int = 0
    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __post_init__(self) -> None:
        self.engine = Engine(self.database, rules, clock=lambda: self.now)

    async def lease(self) -> Position:
        """Claim what is free and say where partition 0 stands."""

        async def work(tx: AsyncConnection) -> Position:
            await leases.register(tx, TOPIC, [0])
            await leases.renew(tx, self.owner, TOPIC, {0: True})
            return (await leases.claim(tx, self.owner, TOPIC))[0]

        position = await in_transaction(self.database, work)
        self.offset = position.next_offset
        return position

    async def apply(self, *events: Event, rejected: tuple[codec.Record, ...] = ()) -> None:
        """Apply these events as the next records of partition 0."""
        end = self.offset + len(events) + len(rejected)
        last = events[-1].id if events else None
        batch = Batch(Position(TOPIC, 0, self.offset), end, last, events, rejected)
        await self.engine.apply(batch, self.owner)
        self.offset = end

    async def rows(self, table: sa.Table) -> list[sa.Row[tuple[object, ...]]]:
        """All rows of a table."""
        async with self.database.connect() as connection:
            return list(await connection.execute(sa.select(table)))

    async def count(self) -> dict[str, int]:
        """Rows of the tables that decisions write."""
        return {table.name: len(await self.rows(table)) for table in (incidents, inputs, outbox, relay)}

    def later(self, minutes: float) -> None:
        """Time passes."""
        self.now += timedelta(minutes=minutes)


def limited_engine(database_url: str, **limits: str) -> AsyncEngine:
    """A pool whose sessions have these limits instead of the service's."""
    engine = create_engine(database_url)

    def limit(connection: Any, _: object) -> None:
        said = "; ".join(f"SET {name} = '{value}'" for name, value in limits.items())
        connection.run_async(lambda raw: raw.execute(said))

    sa.event.listen(engine.sync_engine, "connect", limit)
    return engine


def patient_engine(database_url: str) -> AsyncEngine:
    """The limits of a session are for processes that stand still; a test only shares its cores with others."""
    return limited_engine(database_url, idle_in_transaction_session_timeout="30s", transaction_timeout="30s")


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[AsyncEngine]:
    """A pool on the test's database."""
    engine = patient_engine(database_url)
    yield engine
    await engine.dispose()


@pytest.fixture
async def shell(database: AsyncEngine) -> Shell:
    """A process that has leased partition 0."""
    shell = Shell(database)
    await shell.lease()
    return shell


@pytest.fixture
async def beside(postgres_server: PostgresServer) -> AsyncIterator[Shell]:
    """Another installation, for what is done otherwise."""
    name = postgres_server.create_database()
    database = patient_engine(postgres_server.url(name))
    shell = Shell(database)
    await shell.lease()
    yield shell
    await database.dispose()
    postgres_server.drop_database(name)


@pytest.fixture
def settings(kafka: str, topic_prefix: str) -> AlertingSettings:
    """Of a process on the test's Kafka."""
    return AlertingSettings(
        config=Path("unused"), kafka_bootstrap_servers=kafka, topic_prefix=topic_prefix,
        database_url=SecretStr("postgresql://unused"), smtp_url=SecretStr("smtp://127.0.0.1:9"),
        mail_from="unused@example.org", public_url="http://127.0.0.1", secret_key=SecretStr("k" * 16),
    )  # fmt: skip


async def everything(shell: Shell) -> dict[str, list[tuple[Any, ...]]]:
    """What is written, without what time and chance give: what two installations that did the same have in common."""
    kept = {
        incidents: [c for c in incidents.c if c.name not in ("merge_keys",)],
        inputs: list(inputs.c),
        outbox: [c for c in outbox.c if c.name not in ("attempt_at", "answered_at", "lease", "lease_until", "crashes")],
        relay: [relay.c.topic, relay.c.key, relay.c.value, relay.c.headers],
    }
    async with shell.database.connect() as connection:
        return {
            table.name: sorted((tuple(row) for row in await connection.execute(sa.select(*columns))), key=repr)
            for table, columns in kept.items()
        }
