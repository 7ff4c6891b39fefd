"""Kafka or PostgreSQL answers slowly: alarms come later by that, none is lost, and nobody is alarmed about it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.embedded.ports import free_port
from tests.faults.chaos.network import Link
from tests.support.chain import Chain, Surroundings, alerting_service, ingest_service
from tests.support.office import all_mailed, assert_nothing_lost_and_nothing_doubled, office_on, one_mail_an_incident
from tests.support.servers import KafkaServer, PostgresServer
from tests.support.smtp_sink import SmtpSink

SLOW_KAFKA = 0.2
SLUGGISH_KAFKA = 0.45
SLOW_POSTGRESQL = 0.03
STUCK_POSTGRESQL = 2.0
"""Seconds for each piece, in each direction: hundreds of times what a local network takes. An answer of Kafka has 0.6 s
until the journal's is enough; a transaction takes a dozen ways there and back, and has five seconds.
"""


@pytest.fixture
async def kafka_behind_a_link(tmp_path: Path) -> AsyncIterator[tuple[KafkaServer, Link]]:
    """A Kafka with a second door, which is behind a link."""
    link = Link(free_port())
    await link.start()
    server = KafkaServer(tmp_path / "kafka", ((link.target, link.port),))
    try:
        server.start()
        yield server, link
    finally:
        server.kill()
        await link.stop()


async def _alarms_come(chain: Chain, link: Link, delay: float) -> list[str]:
    """Ten presses over a slow link, each mailed once; returns what their senders were answered."""
    try:
        await chain.alerting.start()
        await chain.ingest.start()
        link.delay = delay
        rooms = [{"site": "bernburg", "location": f"Zimmer {n}"} for n in range(10)]
        answers = [(await chain.post("/v1/incidents", room, source="buttons")).json() for room in rooms]
        pressed = [answer["event_id"] for answer in answers]
        await all_mailed(chain, pressed, within=40)
        await assert_nothing_lost_and_nothing_doubled(chain, pressed)
        assert chain.alerting.running
        assert chain.ingest.running
        return [answer["status"] for answer in answers]
    finally:
        link.heal()
        chain.alerting.stop()
        chain.ingest.stop()


async def test_a_slow_postgresql(kafka_server: KafkaServer, postgres_server: PostgresServer, tmp_path: Path) -> None:
    link = Link(postgres_server.postgres.port)
    await link.start()
    async with office_on(kafka_server, postgres_server, tmp_path, one_mail_an_incident) as chain:
        through = chain.database_url.replace(f":{postgres_server.postgres.port}/", f":{link.port}/")
        chain.alerting = alerting_service(chain.around, through, chain.sink.url)
        await _alarms_come(chain, link, SLOW_POSTGRESQL)
    await link.stop()


async def test_a_postgresql_for_which_five_seconds_are_not_enough(
    kafka_server: KafkaServer, postgres_server: PostgresServer, tmp_path: Path
) -> None:
    link, emergency = Link(postgres_server.postgres.port), SmtpSink()
    await link.start()
    await emergency.start()
    async with office_on(kafka_server, postgres_server, tmp_path, one_mail_an_incident) as chain:
        through = chain.database_url.replace(f":{postgres_server.postgres.port}/", f":{link.port}/")
        chain.alerting = alerting_service(chain.around, through, chain.sink.url)
        watched = {"RUFKETTE_WATCH_AFTER": "3", "RUFKETTE_SMTP_FALLBACK_URL": emergency.url}
        chain.ingest = ingest_service(chain.around, chain.sink.url, **watched)
        try:
            await chain.alerting.start()
            await chain.ingest.start()
            link.delay = STUCK_POSTGRESQL
            await chain.alerting.wait_for_event("database.unreachable")
            pressed = await chain.press({"site": "bernburg", "location": "Zimmer 1"})
            (mail,) = await emergency.wait_for(1)
            assert "Zimmer 1" in mail.text()
            assert chain.sink.accepted == []
            link.heal()
            await all_mailed(chain, [pressed])
            await assert_nothing_lost_and_nothing_doubled(chain, [pressed])
            await chain.alerting.wait_for_event("database.recovered")
            assert len(emergency.accepted) == 1
        finally:
            link.heal()
            chain.alerting.stop()
            chain.ingest.stop()
    await emergency.stop()
    await link.stop()


@pytest.mark.parametrize(("delay", "answered"), [(SLOW_KAFKA, {"accepted", "queued"}), (SLUGGISH_KAFKA, {"queued"})])
async def test_a_slow_kafka(
    kafka_behind_a_link: tuple[KafkaServer, Link],
    postgres_server: PostgresServer,
    tmp_path: Path,
    delay: float,
    answered: set[str],
) -> None:
    kafka, link = kafka_behind_a_link
    async with office_on(kafka, postgres_server, tmp_path, one_mail_an_incident) as chain:
        around = chain.around
        slow = Surroundings(f"127.0.0.1:{link.port}", around.topic_prefix, around.configuration, around.directory)
        chain.alerting = alerting_service(slow, chain.database_url, chain.sink.url)
        chain.ingest = ingest_service(slow, chain.sink.url)
        assert set(await _alarms_come(chain, link, delay)) <= answered
