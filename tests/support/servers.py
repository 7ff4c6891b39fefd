"""Real Kafka and PostgreSQL for tests, started as the embedded default starts them."""

import asyncio
import os
import signal
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from schemas import topics
from services.common.kafka import admin, create_topics
from services.common.settings import Settings
from services.embedded.aot_cache import prepared_jars
from services.embedded.kafka import Kafka
from services.embedded.ports import free_port
from services.embedded.postgres import Postgres
from services.embedded.process import Part

# A power cut does not happen in a test, so nothing waits for the disk; a killed server still loses no commit.
_FAST = {"fsync": "off", "full_page_writes": "off", "shared_buffers": "64MB"}


class KafkaServer:
    """A broker of a test's own: it can be stopped, killed and started again on the same port."""

    def __init__(self, directory: Path, doors: tuple[tuple[int, int], ...] = ()) -> None:
        self.kafka = Kafka(directory, prepared_jars(), free_port(), durable=False, doors=doors)
        self._part: Part | None = None

    @property
    def bootstrap_servers(self) -> str:
        return self.kafka.bootstrap_servers

    def start(self) -> None:
        self.kafka.prepare()
        self.launch()
        self.wait()

    def launch(self) -> None:
        """Start what is prepared: from the main thread, which the kernel ties the process to."""
        self._part = self.kafka.start()

    def wait(self) -> None:
        assert self._part is not None
        self._part.wait_until(self.kafka.ready, timeout=60)

    def stop(self) -> None:
        if self._part is not None:
            self._part.stop()

    def kill(self) -> None:
        """SIGKILL to the process and all that it started."""
        if self._part is not None:
            self._part.kill()

    @contextmanager
    def hanging(self) -> Iterator[None]:
        """It neither answers nor goes away, until the end of the block."""
        assert self._part is not None
        os.kill(self._part.process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self._part.process.pid, signal.SIGCONT)


class PostgresServer:
    """A PostgreSQL of a test's own: it can be stopped, killed and started again on the same port."""

    def __init__(self, directory: Path) -> None:
        self.postgres = Postgres(directory, free_port(), _FAST)
        self._part: Part | None = None
        self._template: str | None = None

    def url(self, database: str) -> str:
        return self.postgres.url(database)

    def start(self) -> None:
        self.postgres.prepare()
        self.launch()
        self.wait()

    def launch(self) -> None:
        """Start what is prepared: from the main thread, which the kernel ties the process to."""
        self._part = self.postgres.start()

    def wait(self) -> None:
        assert self._part is not None
        self._part.wait_until(self.postgres.ready, timeout=60)

    def stop(self) -> None:
        if self._part is not None:
            self._part.stop()

    def kill(self) -> None:
        """SIGKILL to the process and all that it started."""
        if self._part is not None:
            self._part.kill()

    def execute(self, sql: str, database: str = "postgres") -> str:
        return self.postgres.execute(sql, database)

    def create_empty_database(self) -> str:
        """A new database without any table; returns its name."""
        name = f"t_{uuid.uuid4().hex[:12]}"
        self.execute(f'create database "{name}"')
        return name

    def create_database(self) -> str:
        """A new database with the schema of alerting; returns its name."""
        if self._template is None:
            self._template = self._migrated()
        name = f"t_{uuid.uuid4().hex[:12]}"
        self.execute(f'create database "{name}" template "{self._template}"')
        return name

    def drop_database(self, name: str) -> None:
        self.execute(f'drop database if exists "{name}" with (force)')

    def _migrated(self) -> str:
        from services.alerting.migrations.apply import migrate  # noqa: PLC0415 – tests without a database do without it

        name = self.create_empty_database()
        with ThreadPoolExecutor(1) as pool:  # a thread has no event loop, whatever loop the caller runs in
            pool.submit(migrate, self.url(name)).result()
        return name


def client_settings(bootstrap_servers: str, topic_prefix: str = "") -> Settings:
    """Settings for Kafka clients in tests that start no service."""
    return Settings(config=Path("unused"), kafka_bootstrap_servers=bootstrap_servers, topic_prefix=topic_prefix)


async def fresh_topics(bootstrap_servers: str) -> str:
    """Create all topics under a prefix of their own; returns the prefix."""
    prefix = f"t{uuid.uuid4().hex[:10]}."
    made = await create_topics(client_settings(bootstrap_servers, prefix))
    assert len(made) == len(topics.ALL)
    await _leaders_elected(bootstrap_servers, prefix)
    return prefix


async def _leaders_elected(bootstrap_servers: str, prefix: str) -> None:
    async with admin(client_settings(bootstrap_servers)) as client, asyncio.timeout(20):
        while True:
            described = await client.describe_topics([topics.prefixed(t.name, prefix) for t in topics.ALL])
            if all(t["error_code"] == 0 and all(p["leader"] >= 0 for p in t["partitions"]) for t in described):
                return
            await asyncio.sleep(0.02)
