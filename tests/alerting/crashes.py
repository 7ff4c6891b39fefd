"""What one alerting process after the other is connected to while it crashes, and what has to be there in the end."""

import uuid
from collections import Counter
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition

from schemas import codec, topics
from schemas.events import Event
from schemas.lifecycle import Change, Lifecycle
from services.alerting import store
from services.alerting.core.incident import Incident
from services.common import kafka as clients
from tests.alerting.crashing_alerting import RULES
from tests.support.crashing import Ended, Moment, Nursery, nursery
from tests.support.mails import named
from tests.support.servers import PostgresServer, client_settings, fresh_topics
from tests.support.smtp_sink import Received, SmtpSink

SNAPSHOT = {
    "incidents": "select id, status, revision, due_at, state::text from incidents order by id",
    "inputs": "select * from inputs order by incident_id, revision",
    "mails": "select id, incident_id, cycle, step, repetition, recipient, purpose, urgency, created_at, state"
    # What is withdrawn before its commit is not even written.
    " from outbox where state <> 'withdrawn' order by id",
    "event ids": "select id, digest from events order by id",
    "held": "select event_id, incident_id from held order by event_id",
    "signs of life": "select device_id, at, battery from device_signs order by device_id",
    "troubles": "select id, recipient from troubles order by id",
}
Records = Mapping[int, Sequence[Event | bytes]]
"""By partition."""
Snapshot = dict[str, list[tuple[Any, ...]]]


class Said:
    """What stands on the topics that alerting writes, from where it was read last."""

    def __init__(self, consumer: AIOKafkaConsumer, partitions: list[TopicPartition]) -> None:
        self._consumer = consumer
        self._partitions = partitions

    async def read(self) -> list[Any]:
        ends = await self._consumer.end_offsets(self._partitions)
        found: list[Any] = []
        while any([await self._consumer.position(one) < ends[one] for one in self._partitions]):
            for records in (await self._consumer.getmany(timeout_ms=100)).values():
                found += records
        return found


@dataclass(slots=True)
class World:
    """What one process after the other is connected to: every run begins on an empty database."""

    nursery: Nursery
    database_url: str
    looking: asyncpg.Connection
    kafka: str = ""
    prefix: str = ""
    said: Said | None = None

    async def empty(self) -> None:
        found = await self.looking.fetch("select tablename from pg_tables where schemaname = 'public'")
        tables = ", ".join(row[0] for row in found if row[0] != "alembic_version")
        await self.looking.execute(f"truncate {tables} restart identity cascade")

    async def read(self, ends: Sequence[int], moment: Moment | None = None, smtp_url: str | None = None) -> Ended:
        """Until the positions are at these ends of the partitions; with a mail server until all is mailed, too."""
        more: dict[str, Any] = {
            "kafka": self.kafka,
            "prefix": self.prefix,
            "ends": list(ends),
            "owner": uuid.uuid4().hex,
        }
        more |= {"database_url": self.database_url, "smtp_url": smtp_url}
        return await self.nursery.run(moment, what="reading", **more)

    async def fire(self, until: datetime, moment: Moment | None = None, *, late: bool) -> Ended:
        more = {"until": until.isoformat(), "late": late}
        return await self.nursery.run(moment, what="firing", database_url=self.database_url, **more)

    async def mail(self, smtp_url: str, moment: Moment | None = None, *, under_locks: bool = False) -> Ended:
        """Until nothing waits in the outbox; `under_locks` answers are not recorded in one trip."""
        more = {"database_url": self.database_url, "smtp_url": smtp_url, "under_locks": under_locks}
        return await self.nursery.run(moment, what="mailing", **more)

    async def let_leases_run_out(self) -> None:
        """The seconds pass after which the others take a process for dead, and what it tried is tried again."""
        await self.looking.execute("""
            update partitions set lease_until = clock_timestamp() where owner is not null;
            update processes set seen_at = clock_timestamp() - interval '4 seconds';
            update suspects set retry_at = clock_timestamp() where retry_at is not null;
            update outbox set lease_until = clock_timestamp() where lease is not null;
        """)

    async def positions(self) -> list[int]:
        return [row[0] for row in await self.looking.fetch("select next_offset from partitions order by partition")]

    async def snapshot(self) -> Snapshot:
        return {name: [tuple(row) for row in await self.looking.fetch(sql)] for name, sql in SNAPSHOT.items()}

    async def relayed(self) -> list[tuple[Any, ...]]:
        rows = await self.looking.fetch("select topic, key, value, headers::text from relay order by seq")
        return [tuple(row) for row in rows]


@asynccontextmanager
async def a_world(postgres: PostgresServer, directory: Path) -> AsyncIterator[World]:
    name = postgres.create_database()
    url = postgres.url(name)
    looking = await asyncpg.connect(url)
    await looking.execute("alter table incidents add constraint unforeseen check (id <> 'refused')")
    try:
        async with nursery("tests.alerting.crashing_alerting", directory) as children:
            yield World(children, url, looking)
    finally:
        await looking.close()
        postgres.drop_database(name)


async def write_records(bootstrap_servers: str, prefix: str, records: Records) -> None:
    producer = clients.producer(client_settings(bootstrap_servers, prefix))
    await producer.start()
    try:
        topic = topics.prefixed(topics.EVENTS, prefix)
        for number, of_one in records.items():
            for one in of_one:
                written = codec.Record(b"key", one, ()) if isinstance(one, bytes) else codec.encode(one)
                await producer.send_and_wait(
                    topic, value=written.value, key=written.key, headers=list(written.headers), partition=number
                )
    finally:
        await producer.stop()


@asynccontextmanager
async def a_world_with_topics(
    postgres: PostgresServer, kafka: str, directory: Path, records: Records
) -> AsyncIterator[World]:
    prefix = await fresh_topics(kafka)
    await write_records(kafka, prefix, records)
    written = [topics.prefixed(name, prefix) for name in (topics.LIFECYCLE, topics.REJECTED)]
    settings = client_settings(kafka, prefix)
    numbers = {name: await clients.partitions_of(settings, name) for name in written}
    partitions = [TopicPartition(name, number) for name in written for number in numbers[name]]
    consumer = clients.consumer(settings)
    await consumer.start()
    try:
        consumer.assign(partitions)
        await consumer.seek_to_beginning(*partitions)
        async with a_world(postgres, directory) as world:
            world.kafka, world.prefix, world.said = kafka, prefix, Said(consumer, partitions)
            yield world
    finally:
        await consumer.stop()


def differences(found: Snapshot, expected: Snapshot) -> list[tuple[str, str, Any]]:
    """Rows that are too many, and rows that are missing."""
    return [
        (what, name, row)
        for name in expected
        for what, more, less in (("too many", found, expected), ("missing", expected, found))
        for row in Counter(more[name]) - Counter(less[name])
    ]


def by_replay(snapshot: Snapshot) -> None:
    """Every incident is what its stored inputs make of it, and has no gap in them."""
    for id_, *_, state in snapshot["incidents"]:
        causes = [row for row in snapshot["inputs"] if row[0] == id_]
        assert [row[1] for row in causes] == list(range(1, len(causes) + 1))
        known: list[Incident] = []
        for _, _, at, _, _, body, plans in causes:
            decision = store.replay(known, body, plans, now=at, rules=RULES)
            known = [decision.incident] if decision.incident is not None else known
        assert known == [store.from_json(state)]


def announced(records: Sequence[Any]) -> dict[str, list[tuple[str, Change, Lifecycle]]]:
    """The changes of each incident, each once, in the order in which they were first said."""
    found: dict[str, dict[str, tuple[str, Change, Lifecycle]]] = {}
    for record in records:
        if record.topic.endswith(topics.LIFECYCLE):
            change, data = codec.decode_lifecycle(record.headers, record.value)
            id_ = dict(record.headers)["ce_id"].decode()
            found.setdefault(data.incident_id, {}).setdefault(id_, (id_, change, data))
    return {incident_id: list(changes.values()) for incident_id, changes in found.items()}


def received(sink: SmtpSink) -> list[tuple[str, str, str]]:
    """Incident, step and recipient of each mail."""
    return [(named(mail).incident_id, named(mail).step, mail.recipients[0]) for mail in sink.accepted]


async def recorded(world: World) -> set[tuple[str, str]]:
    """Incident and recipient of each mail whose answer is recorded."""
    found = await world.looking.fetch("select incident_id, recipient from outbox where state = 'accepted'")
    return {(row[0], row[1]) for row in found}


async def open_attempts(world: World, sink: SmtpSink) -> set[tuple[str, str, str]]:
    """Mails that a server took, and nobody recorded."""
    known = await recorded(world)
    return {one for one in received(sink) if (one[0], one[2]) not in known}


def assert_copies(sink: SmtpSink, may_come_again: Collection[tuple[str, str, str]]) -> None:
    """Each mail came once, or once more if its attempt was open: as the same mail."""
    copies: dict[tuple[str, str, str], list[Received]] = {}
    for mail, one in zip(sink.accepted, received(sink), strict=True):
        copies.setdefault(one, []).append(mail)
    for one, mails in copies.items():
        assert len(mails) <= (2 if one in may_come_again else 1)
        assert len({mail.message["Message-ID"] for mail in mails}) == 1
        assert [mail.message["X-Rufkette-Attempt"] for mail in mails[1:]] in ([], ["2"])
