"""What alerting is measured against: a loop that reads events, validates them and copies rows into the same tables.

It decides nothing, locks nothing and knows no repeated event: the rows are those of one press, with another id and
room in them.
"""

import asyncio
import sys
import uuid
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import asyncpg
import sqlalchemy as sa
from aiokafka import TopicPartition

from bench import made_up
from schemas import codec, topics
from schemas.events import Event, Reported
from services.alerting import tables
from services.alerting.changes import Changes
from services.alerting.core.calendar import OfficeCalendar
from services.alerting.core.policy import Rules
from services.alerting.reading.repeats import digest
from services.alerting.saving import to_row
from services.common import kafka
from services.common.configuration import file as configuration_file
from services.common.settings import Settings

_AT_ONCE: Final = 500
Row = Mapping[str, Any]
Template = Sequence[tuple[sa.Table, Sequence[str], Sequence[Row]]]


def template_of(changes: Changes) -> Template:
    """The rows of one press, by table."""
    (incident,) = changes.changed.values()
    rows: list[tuple[sa.Table, Sequence[Row]]] = [
        (tables.incidents, [to_row(incident)]),
        (tables.inputs, changes.timeline),
        (tables.outbox, list(changes.mails.values())),
        (tables.relay, changes.relayed),
    ]
    return [(table, list(found[0]), found) for table, found in rows if found]


def filled(value: object, names: Sequence[tuple[str, str]]) -> object:
    """A value of the template with an event's names in it."""
    match value:
        case str():
            for old, new in names:
                value = value.replace(old, new)
            return value
        case bytes():
            for old, new in names:
                value = value.replace(old.encode(), new.encode())
            return value
        case uuid.UUID():
            return uuid.uuid4()
        case list():
            return [filled(one, names) for one in value]
        case _:
            return value


def rows_of(
    table_rows: Sequence[Row], columns: Sequence[str], model: Event, events: Sequence[Event]
) -> Iterator[tuple[object, ...]]:
    """What these events become in one table."""
    for event in events:
        assert isinstance(event.data, Reported)
        assert isinstance(model.data, Reported)
        names = [(model.id, event.id), (model.data.location or "", event.data.location or "")]
        for row in table_rows:
            yield tuple(filled(row[column], names) for column in columns)


async def run(servers: str, database_url: str, configuration: Path) -> None:
    """Read everything from its beginning, for ever."""
    parsed = configuration_file.load(configuration)
    now = datetime.now(UTC)
    model = made_up.report(0, "4711", now)
    template = template_of(made_up.opened([model], Rules(parsed, OfficeCalendar(parsed)), now))
    settings = Settings(config=configuration, kafka_bootstrap_servers=servers)
    database = await asyncpg.connect(database_url)
    partitions = [
        TopicPartition(topics.EVENTS, number) for number in await kafka.partitions_of(settings, topics.EVENTS)
    ]
    await database.executemany(
        "INSERT INTO partitions (topic, partition) VALUES ($1, $2)", [(tp.topic, tp.partition) for tp in partitions]
    )
    client = kafka.consumer(settings)
    await client.start()
    try:
        client.assign(partitions)
        for partition in partitions:
            client.seek(partition, 0)
        while True:
            fetched = await client.getmany(timeout_ms=500, max_records=_AT_ONCE)
            if fetched:
                await _write(database, fetched, model, template)
    finally:
        await client.stop()


async def _write(
    database: asyncpg.Connection, fetched: Mapping[TopicPartition, Sequence[Any]], model: Event, template: Template
) -> None:
    now = datetime.now(UTC)
    records = [record for of_one in fetched.values() for record in of_one]
    events = [codec.decode(record.headers, record.value, arrived_at=now) for record in records]
    async with database.transaction():
        known = [(event.id, digest(event), now) for event in events]
        await database.copy_records_to_table("events", records=known, columns=["id", "digest", "applied_at"])
        for table, columns, rows in template:
            records = list(rows_of(rows, columns, model, events))
            await database.copy_records_to_table(table.name, records=records, columns=columns)
        await database.executemany(
            "UPDATE partitions SET next_offset = $3 WHERE topic = $1 AND partition = $2",
            [(tp.topic, tp.partition, of_one[-1].offset + 1) for tp, of_one in fetched.items()],
        )


if __name__ == "__main__":
    asyncio.run(run(sys.argv[1], sys.argv[2], Path(sys.argv[3])))
