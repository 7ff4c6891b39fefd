"""Mass rejection: the process reads nothing more and says so, until an operator accepts it."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from schemas import topics
from services.common import kafka
from tests.faults.test_bad_records import VALUE, event_headers
from tests.support.chain import Chain
from tests.support.database import rows
from tests.support.office import all_mailed
from tests.support.records import records_on
from tests.support.servers import client_settings
from tests.support.waiting import eventually


@pytest.fixture
async def stopped(office: Chain) -> AsyncIterator[Chain]:
    office.alerting.stop()
    yield office
    office.alerting.stop()
    await office.alerting.start()


async def flood(office: Chain, count: int) -> None:
    producer = kafka.producer(client_settings(office.around.kafka, office.around.topic_prefix))
    await producer.start()
    try:
        name = topics.prefixed(topics.EVENTS, office.around.topic_prefix)
        headers = [("ce_type", b"rufkette.incident.reported.v9")]
        sent = [
            await producer.send(
                name, value=b"{}", key=b"k", headers=[*headers, ("ce_id", str(n).encode())], partition=n % 6
            )
            for n in range(count)
        ]
        sent.append(await producer.send(name, value=VALUE, key=b"k", headers=event_headers("behind"), partition=0))
        await asyncio.gather(*sent)
    finally:
        await producer.stop()


async def test_it_stops_before_most_are_passed_over_and_goes_on_when_accepted(stopped: Chain) -> None:
    await flood(stopped, 1_200)
    already = len(await records_on(stopped.around, topics.REJECTED))
    await stopped.alerting.start(ready=False)
    await stopped.alerting.wait_for_event("breaker.tripped")
    answer = await stopped.alerting.wait_for_status("/readyz", 503)
    assert "unreadable" in answer.json()["problems"]["events"]
    await stopped.alerting.wait_for_status("/healthz", 200)  # a restart would not help

    async def owners() -> list[object]:
        return await rows(stopped.database_url, "select 1 from partitions where owner is not null")

    await eventually(owners, lambda found: not found)
    assert len(await records_on(stopped.around, topics.REJECTED)) - already < 200
    assert await rows(stopped.database_url, "select 1 from incidents where id = 'behind'") == []

    stopped.alerting.stop()
    plain = dict(stopped.alerting.environment)
    stopped.alerting.environment = plain | {"RUFKETTE_ACCEPT_UNREADABLE": "true"}
    try:
        await stopped.alerting.start()
        await all_mailed(stopped, ["behind"])
    finally:
        stopped.alerting.environment = plain
