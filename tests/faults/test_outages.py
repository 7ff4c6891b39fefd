"""Kafka, PostgreSQL and the mail server missing at the start, restarting and killed: nothing is lost."""

import asyncio
import random

import pytest

from tests.support.chain import Chain
from tests.support.gateway import Gateway
from tests.support.mails import look
from tests.support.office import all_mailed, assert_nothing_lost_and_nothing_doubled, start_both
from tests.support.servers import KafkaServer, PostgresServer
from tests.support.service import Service
from tests.support.waiting import eventually

pytestmark = pytest.mark.usefixtures("servers_back")

CHANCE = random.Random(31)  # noqa: S311 – no secret


@pytest.fixture(autouse=True)
def presses_may_be_unheard(frail: Chain) -> None:
    """Until what was taken away has come back and caught up, the watch may mail, and rightly."""
    frail.may_be_unheard = True


async def waits_for(service: Service, what: str) -> None:
    """Not ready, and naming what is missing."""

    async def named() -> str:
        return (await service.wait_for_status("/readyz", 503)).text

    await eventually(named, lambda text: what in text)
    await service.wait_for_status("/healthz", 200)


async def test_nothing_is_there_at_the_start(
    frail: Chain, frail_kafka: KafkaServer, frail_postgres: PostgresServer
) -> None:
    frail_kafka.stop()
    frail_postgres.stop()
    await frail.sink.stop()
    frail.ingest.spawn()
    frail.alerting.spawn()
    assert set(await frail.ingest.wait_for_readiness("degraded")) == {"kafka"}
    answer = await frail.post("/v1/incidents", {"site": "bernburg"}, source="buttons")
    assert (answer.status_code, answer.json()["status"]) == (202, "queued")
    for what in ("database", "kafka", "mail_server"):
        await waits_for(frail.alerting, what)
    said = await frail.alerting.wait_for_readiness("unavailable")
    assert "PostgreSQL does not answer" in said["database"]
    assert "Error" not in "".join(said.values())
    gateway = Gateway(frail)
    stream = asyncio.create_task(gateway.stream(5, CHANCE, apart=0.01))

    frail_postgres.start()
    await frail.alerting.wait_for_event("database.recovered")
    await waits_for(frail.alerting, "kafka")
    frail_kafka.start()
    await frail.ingest.wait_ready()
    pressed = [str(answer.json()["event_id"]), *await stream]
    await waits_for(frail.alerting, "mail_server")
    assert "database" not in (await frail.alerting.wait_for_status("/readyz", 503)).text
    await frail.sink.start()
    await frail.alerting.wait_ready()
    await all_mailed(frail, pressed)
    await assert_nothing_lost_and_nothing_doubled(frail, pressed)
    # "Waits, and says so once in a while": not once for each attempt.
    for name in ("kafka.unreachable", "database.unreachable", "mail_server.unreachable"):
        assert 1 <= len(frail.alerting.events(name)) <= 2, name
    for service in (frail.ingest, frail.alerting):
        assert service.stray_lines == []


@pytest.mark.parametrize("how", ["stop", "kill"])
async def test_kafka_restarts_while_presses_stream_in(frail: Chain, frail_kafka: KafkaServer, how: str) -> None:
    await start_both(frail)
    gateway = Gateway(frail)
    before = await gateway.stream(10, CHANCE, apart=0.01)
    stream = asyncio.create_task(gateway.stream(40, CHANCE, apart=0.05))
    getattr(frail_kafka, how)()
    assert set(await frail.ingest.wait_for_readiness("degraded")) == {"kafka"}
    await waits_for(frail.alerting, "kafka")
    frail_kafka.start()
    pressed = await stream
    assert gateway.failed == 0  # the journal takes what Kafka cannot
    await frail.ingest.wait_ready()
    await frail.alerting.wait_ready()
    await all_mailed(frail, before + pressed)
    await assert_nothing_lost_and_nothing_doubled(frail, before + pressed)


@pytest.mark.parametrize("how", ["stop", "kill"])
async def test_postgresql_restarts_while_presses_stream_in(
    frail: Chain, frail_postgres: PostgresServer, how: str
) -> None:
    await start_both(frail)
    gateway = Gateway(frail)
    before = await gateway.stream(10, CHANCE, apart=0.01)
    stream = asyncio.create_task(gateway.stream(40, CHANCE, apart=0.03))
    getattr(frail_postgres, how)()
    await waits_for(frail.alerting, "database")
    pressed = await stream
    assert gateway.failed == 0  # ingest needs no database
    frail_postgres.start()
    await frail.alerting.wait_ready()
    await all_mailed(frail, before + pressed, within=40)
    await assert_nothing_lost_and_nothing_doubled(frail, before + pressed)
    assert frail.alerting.events("database.recovered")


async def test_the_mail_server_restarts_while_presses_stream_in(frail: Chain) -> None:
    await start_both(frail)
    gateway = Gateway(frail)
    stream = asyncio.create_task(gateway.stream(40, CHANCE, apart=0.03))
    await frail.sink.wait_for(5)
    await frail.sink.stop()
    await waits_for(frail.alerting, "mail_server")
    pressed = await stream
    await frail.sink.start()
    await frail.alerting.wait_ready()
    await all_mailed(frail, pressed)
    await assert_nothing_lost_and_nothing_doubled(frail, pressed)


async def test_the_mail_server_hangs_and_comes_back(frail: Chain) -> None:
    """It lets us in and says nothing more; there is no other one."""
    await start_both(frail)
    frail.sink.misbehave("stall", None)
    pressed = await Gateway(frail).stream(6, CHANCE, apart=0.01)
    await frail.alerting.wait_for_event("mails.not_taken", stage="DATA")
    assert set(await frail.alerting.wait_for_readiness("degraded")) == {"mail_server"}
    assert frail.alerting.events("mail.deferred", stage="DATA")
    assert "kein Mailserver Mails an" in await look(f"{frail.alerting.url}/")
    frail.sink.behave()
    await all_mailed(frail, pressed, within=60)
    await assert_nothing_lost_and_nothing_doubled(frail, pressed)
    await frail.alerting.wait_ready()
