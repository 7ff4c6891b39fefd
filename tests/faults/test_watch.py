"""The watch: whatever of the chain is away, a real report reaches the emergency contacts, and only then."""

import asyncio
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest

from tests.support.chain import Chain, ingest_service
from tests.support.office import all_mailed
from tests.support.organisation import KEYS
from tests.support.servers import KafkaServer, PostgresServer
from tests.support.service import Service
from tests.support.smtp_sink import SmtpSink
from tests.support.waiting import eventually

AFTER = 3
"""Seconds; longer than a healthy chain needs here."""


@pytest.fixture(autouse=True)
def servers_back(frail_kafka: KafkaServer, frail_postgres: PostgresServer) -> Iterator[None]:
    """However a test ends, the next one finds both servers started."""
    yield
    for server in (frail_kafka, frail_postgres):
        if server._part is None or not server._part.running:
            server.start()


@pytest.fixture
async def emergency() -> AsyncIterator[SmtpSink]:
    """The mail server of the watch."""
    sink = SmtpSink()
    await sink.start()
    yield sink
    await sink.stop()


@pytest.fixture
async def watched(frail: Chain, emergency: SmtpSink) -> AsyncIterator[Chain]:
    """The chain with a watch; nothing is started."""
    frail.ingest = _watching(frail, emergency.url)
    yield frail
    frail.ingest.stop()


def _watching(chain: Chain, fallback: str, **more: str) -> Service:
    """An ingest with its own port and journal."""
    return ingest_service(
        chain.around, RUFKETTE_WATCH_AFTER=str(AFTER), RUFKETTE_SMTP_FALLBACK_URL=fallback, **more
    )  # fmt: skip


async def press(service: Service, room: str, **fields: str) -> str:
    async with httpx.AsyncClient(base_url=service.url, timeout=10) as client:
        body = {"site": "bernburg", "location": room, "danger_level": 2, **fields}
        answer = await client.post("/v1/incidents", json=body, headers={"Authorization": f"Bearer {KEYS['buttons']}"})
    assert answer.status_code == 202, answer.text
    return str(answer.json()["event_id"])


async def status(service: Service, event_id: str) -> str:
    async with httpx.AsyncClient(base_url=service.url, timeout=10) as client:
        answer = await client.get(f"/v1/events/{event_id}", headers={"Authorization": f"Bearer {KEYS['buttons']}"})
    return str(answer.json()["status"])


async def test_kafka_is_away_and_comes_back(watched: Chain, emergency: SmtpSink, frail_kafka: KafkaServer) -> None:
    await watched.alerting.start()
    await watched.ingest.start()
    frail_kafka.stop()
    rooms = [f"Raum {number}" for number in range(3)]
    pressed = list(await asyncio.gather(*(press(watched.ingest, room) for room in rooms)))
    drill = await press(watched.ingest, "Übungsraum", mode="exercise")
    [mail] = await emergency.wait_for(1, timeout=40)
    assert mail.recipients == ("bereitschaft@example.org",)
    assert mail.subject.endswith(" · Notbetrieb")
    assert all(room in mail.text() for room in rooms)
    assert "Übungsraum" not in mail.text()
    await eventually(lambda: status(watched.ingest, pressed[0]), lambda found: found == "emergency")
    assert await status(watched.ingest, drill) == "queued"

    watched.ingest.kill()
    await watched.ingest.start(ready=False)
    await watched.ingest.wait_for_event("journal.loaded")
    frail_kafka.start()
    await all_mailed(watched, pressed, within=60)
    await eventually(lambda: status(watched.ingest, pressed[0]), lambda found: found == "alerted")
    assert len(emergency.accepted) == 1
    for private in (*rooms, "bereitschaft@"):
        assert private not in watched.ingest.output


async def test_ingest_dies_before_it_mailed(watched: Chain, emergency: SmtpSink, frail_kafka: KafkaServer) -> None:
    frail_kafka.stop()
    await watched.ingest.start(ready=False)
    await watched.ingest.wait_for_readiness("degraded")
    await press(watched.ingest, "Raum 1")
    watched.ingest.kill()
    assert emergency.accepted == []
    await watched.ingest.start(ready=False)
    [mail] = await emergency.wait_for(1, timeout=40)
    assert "Raum 1" in mail.text()


async def test_alerting_is_dead(watched: Chain, emergency: SmtpSink) -> None:
    await watched.alerting.start()
    await watched.ingest.start()
    watched.alerting.kill()
    second = _watching(watched, emergency.url)
    try:
        await second.start()
        await press(watched.ingest, "Raum 1")
        await press(second, "Raum 2")
        mails = await emergency.wait_for(2, timeout=40)
    finally:
        second.stop()
    assert sorted("Raum 1" in mail.text() for mail in mails) == [False, True]
    assert sorted("Raum 2" in mail.text() for mail in mails) == [False, True]


async def test_postgresql_is_down(watched: Chain, emergency: SmtpSink, frail_postgres: PostgresServer) -> None:
    await watched.alerting.start()
    await watched.ingest.start()
    frail_postgres.stop()
    await press(watched.ingest, "Raum 1")
    [mail] = await emergency.wait_for(1, timeout=40)
    assert "Raum 1" in mail.text()


async def test_who_is_heard_causes_no_mail(watched: Chain, emergency: SmtpSink) -> None:
    await watched.alerting.start()
    await watched.ingest.start()
    first = await press(watched.ingest, "Raum 1")
    await all_mailed(watched, [first])
    merged = await press(watched.ingest, "Raum 1")
    for event_id in (first, merged):
        await eventually(lambda: status(watched.ingest, event_id), lambda found: found == "alerted")  # noqa: B023 – awaited here
    # Its entries are gone, so nothing is left that could be mailed later.
    await eventually(lambda: _entries(watched.ingest), lambda left: left == 0)
    assert emergency.received == []


async def _entries(service: Service) -> float:
    async with httpx.AsyncClient(base_url=service.url, timeout=10) as client:
        text = (await client.get("/metrics")).text
    lines = [line for line in text.splitlines() if line.startswith("rufkette_ingest_entries{")]
    return sum(float(line.rpartition(" ")[2]) for line in lines)


async def test_the_first_relay_is_down(watched: Chain, emergency: SmtpSink) -> None:
    watched.ingest = _watching(watched, "smtp://127.0.0.1:9?starttls=off", RUFKETTE_SMTP_URL=emergency.url)
    await watched.ingest.start()
    await press(watched.ingest, "Raum 1")
    await emergency.wait_for(1, timeout=40)
    assert watched.ingest.events("watch.unmailable", relay=1)


async def test_a_server_says_not_now(watched: Chain, emergency: SmtpSink) -> None:
    emergency.answer_data("451 4.3.0 not now", times=1)
    await watched.ingest.start()
    await press(watched.ingest, "Raum 1")
    [mail] = await emergency.wait_for(1, timeout=40)
    deferred, taken = (received.message for received in emergency.received)
    assert mail.message["X-Rufkette-Attempt"] == "2"
    assert deferred["Message-ID"] == taken["Message-ID"]


@pytest.mark.parametrize("left_out", ["RUFKETTE_SMTP_URL", "RUFKETTE_MAIL_FROM"])
async def test_without_a_way_to_mail_it_does_not_start(frail: Chain, left_out: str) -> None:
    whole = frail.ingest
    environment = {name: value for name, value in whole.environment.items() if name != left_out}
    frail.ingest = Service("ingest", whole.port, environment, frail.around.directory)
    frail.ingest.spawn()
    assert await frail.ingest.wait_for_exit(20) == 2
    [line] = frail.ingest.stray_lines
    assert left_out in line
