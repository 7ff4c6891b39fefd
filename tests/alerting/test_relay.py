"""The relay on a real Kafka: what is too large for a topic holds nothing up."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
import sqlalchemy as sa
from aiokafka import AIOKafkaProducer
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from structlog.testing import capture_logs

from schemas import codec, topics
from services.alerting.consumer import Consumer
from services.alerting.reading.records import rejected
from services.alerting.relay import LifecycleRelay
from services.alerting.tables import relay
from services.common import kafka as clients
from services.common.loops import Loop, cancel, run_together
from services.common.outage import Outage
from services.common.settings import AlertingSettings
from tests.alerting.conftest import Shell
from tests.core.office import report
from tests.support.chain import Surroundings
from tests.support.records import records_on
from tests.support.waiting import eventually

MIB = 1024 * 1024


@asynccontextmanager
async def running(**loops: Loop) -> AsyncIterator[None]:
    task = asyncio.create_task(run_together(loops))
    try:
        yield
    finally:
        await cancel({task})


async def put(shell: Shell, settings: AlertingSettings, values: Sequence[bytes], key: bytes = b"bernburg") -> None:
    topic = topics.prefixed(topics.LIFECYCLE, settings.topic_prefix)
    rows = [{"topic": topic, "key": key, "value": value, "headers": json.dumps([["n", "1"]])} for value in values]
    async with shell.database.begin() as tx:
        await tx.execute(sa.insert(relay).values(rows))
    shell.engine.signals.relay.set()


async def left(shell: Shell) -> list[int]:
    """The sizes of what was not published."""
    return [len(row.value) for row in await shell.rows(relay)]


async def limit(settings: AlertingSettings, topic: str, size: int) -> None:
    name = topics.prefixed(topic, settings.topic_prefix)
    async with clients.admin(settings) as client:
        change = ConfigResource(ConfigResourceType.TOPIC, name, {"max.message.bytes": str(size)})
        await client.alter_configs([change])


async def test_a_record_that_is_too_large_holds_up_no_other(
    shell: Shell, settings: AlertingSettings, surroundings: Surroundings
) -> None:
    values = [b"%d" % number for number in range(40)]
    values[17] = values[29] = b"x" * 2 * MIB
    await put(shell, settings, values)
    one = LifecycleRelay(shell.engine, settings, Outage("database"))
    with capture_logs() as lines:
        async with running(relay=one.run):
            assert await eventually(partial(left, shell), lambda sizes: len(sizes) <= 2) == [2 * MIB, 2 * MIB]
            # What comes later goes out, too, and in its order.
            await put(shell, settings, [b"later", b"latest"])
            await eventually(partial(left, shell), lambda sizes: sizes == [2 * MIB, 2 * MIB])
        await one.close()
    published = [record.value for record in await records_on(surroundings, topics.LIFECYCLE)]
    assert list(dict.fromkeys(published)) == [value for value in values if len(value) < MIB] + [b"later", b"latest"]
    told = [line for line in lines if line["event"] == "record.too_large"]
    assert [line["bytes"] for line in told] == [2 * MIB, 2 * MIB]


async def test_it_goes_out_when_the_topic_takes_it(
    shell: Shell, settings: AlertingSettings, surroundings: Surroundings
) -> None:
    await limit(settings, topics.LIFECYCLE, 20_000)
    await put(shell, settings, [b"a", b"x" * 50_000, b"b"])
    one = LifecycleRelay(shell.engine, settings, Outage("database"), again_after=0.5)
    async with running(relay=one.run):
        await eventually(partial(left, shell), lambda sizes: sizes == [50_000])
        await limit(settings, topics.LIFECYCLE, 100_000)
        await eventually(partial(left, shell), lambda sizes: sizes == [])
    await one.close()
    published = {len(record.value) for record in await records_on(surroundings, topics.LIFECYCLE)}
    assert published == {1, 50_000}


async def test_a_topic_that_takes_less_than_a_batch_gets_smaller_ones(
    shell: Shell, settings: AlertingSettings, surroundings: Surroundings
) -> None:
    await limit(settings, topics.LIFECYCLE, 20_000)
    await put(shell, settings, [b"%04d" % number + b"x" * 1000 for number in range(100)])
    one = LifecycleRelay(shell.engine, settings, Outage("database"))
    with capture_logs() as lines:
        async with running(relay=one.run):
            await eventually(partial(left, shell), lambda sizes: sizes == [])
    await one.close()
    assert len({record.value for record in await records_on(surroundings, topics.LIFECYCLE)}) == 100
    assert not [line for line in lines if line["event"] == "record.too_large"]


async def test_what_came_compressed_and_is_larger_than_kafka_takes_is_set_aside_without_its_end(
    shell: Shell, settings: AlertingSettings, surroundings: Surroundings
) -> None:
    topic = topics.prefixed(topics.EVENTS, settings.topic_prefix)
    foreign = AIOKafkaProducer(**clients.connection(settings), compression_type="gzip", max_request_size=8 * MIB)
    await foreign.start()
    headers = [("ce_id", b"\xff" * 2 * MIB), ("ce_type", b"something")]
    await foreign.send_and_wait(topic, b"x" * 3 * MIB, key=b"k" * 2 * MIB, headers=headers, partition=0)
    await foreign.send_and_wait(topic, b"small", key=b"bernburg", partition=0)
    heard = codec.encode(report(shell.now, id="e"))
    await foreign.send_and_wait(topic, heard.value, key=heard.key, headers=list(heard.headers), partition=0)
    await foreign.stop()
    shell.engine.topic_prefix = settings.topic_prefix
    consumer = Consumer(shell.engine, settings, "another", Outage("database"))
    one = LifecycleRelay(shell.engine, settings, Outage("database"))

    async def opened() -> list[Any]:
        return await records_on(surroundings, topics.LIFECYCLE)

    async with running(consumer=consumer.run, leases=consumer.keep_leases, relay=one.run):
        await eventually(opened, bool)
    await one.close()
    assert await left(shell) == []
    found = {len(record.value): dict(record.headers) for record in await records_on(surroundings, topics.REJECTED)}
    assert found.keys() == {5, MIB // 2}
    assert "rufkette_truncated" not in found[5]
    assert found[MIB // 2]["rufkette_truncated"] == b"key, value, headers"
    assert (found[MIB // 2]["rufkette_topic"], found[MIB // 2]["rufkette_offset"]) == (topic.encode(), b"0")


@dataclass
class Record:
    """As the client gives it."""

    headers: codec.Headers
    key: bytes | None = None
    value: bytes | None = None
    topic: str = "incidents.events"
    partition: int = 3
    offset: int = 17
    timestamp: int = 0


@pytest.mark.parametrize(
    "headers",
    [
        (("h", b"\xff" * 900_000),),  # each byte becomes three
        tuple((f"h{number}", b"\x00" * 100) for number in range(20_000)),
        (("\u20ac" * 300_000, None), ("h", b"x")),
    ],
)
def test_headers_that_grow_stay_small_enough(headers: Any) -> None:
    record = rejected(Record(headers), "why")
    assert sum(len(name.encode()) + len(value) for name, value in record.headers) < 70_000
    assert dict(record.headers)["rufkette_truncated"] == b"headers"
    assert dict(record.headers)["rufkette_reason"] == b"why"


def test_what_is_small_enough_stays_as_it_is() -> None:
    headers: Any = (("ce_id", b"e"), ("a", b"\xff"), ("b", None), ("c", "Zimmer \u00e4".encode() * 2000))
    record = rejected(Record(headers, b"key", b"\xff" * (MIB // 2)), "why")
    assert (record.key, record.value) == (b"key", b"\xff" * (MIB // 2))
    assert record.headers[:4] == (("ce_id", b"e"), ("a", "\ufffd".encode()), ("b", b""), headers[3])
    assert [name for name, _ in record.headers[4:]] == [
        "rufkette_reason", "rufkette_topic", "rufkette_partition", "rufkette_offset",
    ]  # fmt: skip
