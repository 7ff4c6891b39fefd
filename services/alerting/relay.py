"""Publishes what the engine left in the relay table, in order; one process at a time, so that order is kept."""

import asyncio
import json
import time
from collections.abc import Sequence
from functools import partial
from typing import Any, Final

import sqlalchemy as sa
import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, MessageSizeTooLargeError
from aiokafka.producer.message_accumulator import BatchBuilder
from sqlalchemy.ext.asyncio import AsyncConnection

from services.alerting.database import TEXTS, in_transaction, patiently
from services.alerting.engine import Engine
from services.alerting.tables import relay
from services.common import kafka
from services.common.loops import library_cancellation_as_error
from services.common.outage import Outage, pause, wait_for
from services.common.settings import Settings

log = structlog.get_logger()

_AT_ONCE = 500
# Lightly (see `database.py`): what is not deleted for good is published again.
_ALONE = sa.text("SELECT pg_try_advisory_xact_lock(x'72656C61'::int), set_config('synchronous_commit', 'off', true)")
_OLDEST = (
    sa.text("""
        SELECT seq, topic, key, value, headers FROM relay WHERE seq <> ALL(CAST(:aside AS bigint[]))
        ORDER BY seq LIMIT :most
    """)
    .bindparams(sa.bindparam("aside", type_=TEXTS))
    .columns(*relay.c)
)
_PUBLISHED = sa.text("DELETE FROM relay WHERE seq = ANY(CAST(:published AS bigint[]))").bindparams(
    sa.bindparam("published", type_=TEXTS)
)
_COLLECT = 0.05
"""Seconds to let what belongs together gather, and the alarm mails go first."""
_PUBLISH_WITHIN = 1.5
"""Seconds; shorter than the database lets a transaction stand idle, else Kafka's absence would pass for its own."""


TRIED_AGAIN_AFTER: Final = 600.0
"""Seconds; a record that the topic takes no longer, for its size, may be taken when somebody has raised its limit."""


class LifecycleRelay:
    """At least once: a record is deleted only after Kafka acknowledged it."""

    def __init__(
        self, engine: Engine, settings: Settings, database: Outage, again_after: float = TRIED_AGAIN_AFTER
    ) -> None:
        self._engine = engine
        self._settings = settings
        self._database = database
        self._outage = Outage("kafka")
        self._producer: AIOKafkaProducer | None = None
        self._again_after = again_after
        self._most = _AT_ONCE
        self._aside: dict[int, float] = {}
        """Numbers of records that are too large, and until when they are left where they are."""

    async def run(self) -> None:
        """Publish for ever."""
        attempt = 0
        while True:
            try:
                producer = await self._started()
                async with self._engine.lull.waited_for(_COLLECT):
                    published = await patiently(self._database, partial(self._publish, producer))
            except _TooLargeError as error:
                await self.close()  # what comes next would be out of sequence for the broker
                self._narrow_down(error.rows)
                await pause(0)
                continue
            except (KafkaError, TimeoutError, OSError, _KafkaAwayError) as error:
                self._outage.noticed(error)
                await self.close()
                await pause(attempt, longest=5)
                attempt += 1
                continue
            attempt = 0
            self._outage.over()
            most, self._most = self._most, min(_AT_ONCE, 2 * self._most)
            if published < most:
                await wait_for(self._engine.signals.relay, 1.0)
                await asyncio.sleep(_COLLECT)

    async def close(self) -> None:
        """Discard the producer: after a failed send nothing about it can be trusted."""
        producer, self._producer = self._producer, None
        if producer is None:
            return
        try:
            async with asyncio.timeout(2):
                await producer.stop()
        except (KafkaError, TimeoutError, OSError):
            log.debug("client.abandoned")

    async def _started(self) -> AIOKafkaProducer:
        if self._producer is None:
            producer = kafka.producer(self._settings)
            with library_cancellation_as_error():
                await producer.start()
            self._producer = producer
        return self._producer

    def _narrow_down(self, rows: Sequence[sa.Row[Any]]) -> None:
        """Fewer at once, until the one that is too large is alone: it shall hold up no other."""
        if len(rows) > 1:
            self._most = len(rows) // 2
            return
        (row,) = rows
        self._aside[row.seq] = time.monotonic() + self._again_after
        log.error("record.too_large", topic=row.topic, seq=row.seq, bytes=len(row.value))

    async def _publish(self, producer: AIOKafkaProducer) -> int:
        failed: list[KafkaError | TimeoutError | OSError] = []
        now = time.monotonic()
        self._aside = {seq: until for seq, until in self._aside.items() if until > now}
        wanted = {"aside": [str(seq) for seq in self._aside], "most": self._most}

        async def work(tx: AsyncConnection) -> int:
            if not await tx.scalar(_ALONE):
                return 0
            rows = (await tx.execute(_OLDEST, wanted)).all()
            if not rows:
                return 0
            try:
                async with asyncio.timeout(_PUBLISH_WITHIN):
                    with library_cancellation_as_error():
                        await _send_all(producer, rows)
            except MessageSizeTooLargeError as error:
                raise _TooLargeError(rows) from error
            except (KafkaError, TimeoutError, OSError) as error:
                failed.append(error)
                return 0
            await tx.execute(_PUBLISHED, {"published": [str(row.seq) for row in rows]})
            return len(rows)

        published = await in_transaction(self._engine.database, work)
        if failed:
            raise _KafkaAwayError from failed[0]
        if published:
            log.debug("lifecycle.relayed", records=published)
        return published


class _KafkaAwayError(Exception):
    """Kafka did not take the records; told apart from a database that is away."""


class _TooLargeError(Exception):
    """Kafka is there, and takes no batch as large as one that was made of these records."""

    def __init__(self, rows: Sequence[sa.Row[Any]]) -> None:
        super().__init__()
        self.rows = rows


async def _send_all(producer: AIOKafkaProducer, rows: Sequence[sa.Row[Any]]) -> None:
    """Return when Kafka has all of them, those of a partition in their order.

    In batches of our own: in a storm the client's way for single records is an eighth of what alerting computes.
    """
    partitions = {topic: len(await producer.partitions_for(topic)) for topic in {row.topic for row in rows}}
    batches: dict[tuple[str, int], BatchBuilder] = {}
    underway: list[asyncio.Future[Any]] = []

    async def send(topic: str, partition: int) -> None:
        sent = await producer.send_batch(batches.pop((topic, partition)), topic, partition=partition)
        sent.add_done_callback(lambda done: done.cancelled() or done.exception())  # also where another one fails first
        underway.append(sent)

    for row in rows:
        to = row.topic, kafka.partition_of(row.key, partitions[row.topic])
        headers = [(name, value.encode()) for name, value in json.loads(row.headers)]
        record = {"timestamp": None, "key": row.key, "value": row.value, "headers": headers}
        if to not in batches:
            batches[to] = producer.create_batch()
        if batches[to].append(**record) is None:
            await send(*to)
            batches[to] = producer.create_batch()
            batches[to].append(**record)
    for to in list(batches):
        await send(*to)
    await asyncio.gather(*underway)
