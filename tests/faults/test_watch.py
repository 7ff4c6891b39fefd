"""The watch: whatever of the chain is away, a real report reaches the emergency contacts, and only then."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.support.chain import Chain, alerting_service, ingest_service
from tests.support.database import rows
from tests.support.leases import shared
from tests.support.office import all_mailed, one_mail_an_incident, start_both
from tests.support.organisation import KEYS, write_configuration
from tests.support.servers import KafkaServer, PostgresServer
from tests.support.service import Service
from tests.support.smtp_sink import SmtpSink
from tests.support.waiting import eventually

pytestmark = pytest.mark.usefixtures("servers_back")

AFTER = 3
"""Seconds; longer than a healthy chain needs here."""


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


def reconfigure(chain: Chain, **bernburg: Any) -> None:
    """Write the configuration anew, with these of the site's values."""

    def change(content: dict[str, Any]) -> None:
        one_mail_an_incident(content)
        content["sites"]["bernburg"] |= bernburg

    write_configuration(chain.around.configuration, change)


async def _now() -> float:
    return time.monotonic()


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


async def test_the_normal_alarm_says_that_the_contacts_were_mailed(
    watched: Chain, emergency: SmtpSink, frail_kafka: KafkaServer
) -> None:
    await watched.alerting.start()
    await watched.ingest.start()
    frail_kafka.stop()
    first, second = await press(watched.ingest, "Raum 1"), await press(watched.ingest, "Raum 2")
    await emergency.wait_for(1, timeout=40)
    frail_kafka.start()
    await all_mailed(watched, [first, second], within=60)
    alarms = [mail.text() for mail in watched.sink.accepted]
    assert len(alarms) == 2
    assert all("Notbetrieb: Die Notfallkontakte haben um " in text for text in alarms)
    reasons = await rows(watched.database_url, "select incident_id from inputs where reason = 'emergency_mailed'")
    assert {row["incident_id"] for row in reasons} == {first, second}


async def test_a_restart_does_not_mail_again_while_kafka_stays_away(
    watched: Chain, emergency: SmtpSink, frail_kafka: KafkaServer
) -> None:
    frail_kafka.stop()
    await watched.ingest.start(ready=False)
    await watched.ingest.wait_for_readiness("degraded")
    await press(watched.ingest, "Raum 1")
    await emergency.wait_for(1, timeout=40)
    await watched.ingest.wait_for_event("watch.mailed")
    watched.ingest.kill()
    await watched.ingest.start(ready=False)
    await watched.ingest.wait_for_readiness("degraded")
    # A later press at another site is mailed: so the watch has looked, and let the first one be.
    await press(watched.ingest, "Raum 2", site="stassfurt")
    mails = await emergency.wait_for(2, timeout=40)
    assert len(mails) == 2
    assert "Raum 2" in mails[1].text()
    assert "Raum 1" not in mails[1].text()


@pytest.mark.parametrize("other_relay", [True, False])
async def test_all_contacts_of_the_site_are_refused(watched: Chain, emergency: SmtpSink, other_relay: bool) -> None:
    """By both relays, or by the only one that can be reached."""
    if other_relay:
        watched.ingest = _watching(watched, emergency.url, RUFKETTE_SMTP_URL=emergency.url)
    contact = "notfall.bernburg@example.org"
    reconfigure(watched, emergency=[contact])
    emergency.refuse_recipient(contact)
    await watched.ingest.start()
    await press(watched.ingest, "Raum 1")
    [mail] = await emergency.wait_for(1, timeout=40)
    assert mail.recipients == ("bereitschaft@example.org",)


async def test_new_contacts_of_a_configuration_that_was_read_anew(watched: Chain, emergency: SmtpSink) -> None:
    await watched.ingest.start()
    reconfigure(watched, emergency=["neu.bernburg@example.org"])
    os.kill(watched.ingest.pid, signal.SIGHUP)
    await watched.ingest.wait_for_event("configuration.reloaded")
    await press(watched.ingest, "Raum 1")
    [mail] = await emergency.wait_for(1, timeout=40)
    assert mail.recipients == ("neu.bernburg@example.org",)


async def test_a_process_that_slept_reads_before_it_mails(watched: Chain, emergency: SmtpSink) -> None:
    await watched.alerting.start()
    await watched.ingest.start()
    pressed = await press(watched.ingest, "Raum 1")
    watched.ingest.pause()
    await all_mailed(watched, [pressed])
    slept_until = time.monotonic() + 2 * AFTER + 1
    await eventually(_now, lambda now: now > slept_until)
    watched.ingest.resume()
    await eventually(lambda: _entries(watched.ingest), lambda left: left == 0)
    assert emergency.received == []


async def test_without_the_journal_it_watches_from_memory(watched: Chain, emergency: SmtpSink) -> None:
    nowhere = watched.around.directory / "a file"
    nowhere.write_text("")
    watched.ingest = _watching(watched, emergency.url, RUFKETTE_JOURNAL_PATH=str(nowhere / "journal.sqlite3"))
    await watched.ingest.start(ready=False)
    await watched.ingest.wait_for_readiness("degraded")
    await press(watched.ingest, "Raum 1")
    [mail] = await emergency.wait_for(1, timeout=40)
    assert "Raum 1" in mail.text()


async def test_one_of_two_alerting_processes_dies(frail: Chain) -> None:
    """With the real time of the watch: the other one takes over within it."""
    second = alerting_service(frail.around, frail.database_url, frail.sink.url)
    try:
        await start_both(frail)
        await second.start()
        await shared(frail, frail.alerting, second)
        frail.alerting.kill()
        pressed = [await press(frail.ingest, f"Raum {number}") for number in range(12)]
        await all_mailed(frail, pressed)
        await eventually(lambda: _entries(frail.ingest), lambda left: left == 0)
    finally:
        second.stop()


async def test_what_alerting_sets_aside_is_mailed(watched: Chain, emergency: SmtpSink) -> None:
    """It is alive and well, and all the same nobody hears of this report: the database refuses it."""
    await watched.alerting.start()
    refuse = "alter table incidents add constraint refuses check (state ->> 'location' <> 'Raum 13')"
    await rows(watched.database_url, refuse)
    await watched.ingest.start()
    fine, refused = await press(watched.ingest, "Raum 1"), await press(watched.ingest, "Raum 13", site="stassfurt")
    [mail] = await emergency.wait_for(1, timeout=40)
    assert "Raum 13" in mail.text()
    await all_mailed(watched, [fine])
    assert await status(watched.ingest, refused) == "emergency"
    assert len(emergency.received) == 1


@pytest.mark.parametrize("left_out", ["RUFKETTE_SMTP_URL", "RUFKETTE_MAIL_FROM"])
async def test_without_a_way_to_mail_it_does_not_start(frail: Chain, left_out: str) -> None:
    whole = frail.ingest
    environment = {name: value for name, value in whole.environment.items() if name != left_out}
    frail.ingest = Service("ingest", whole.port, environment, frail.around.directory)
    frail.ingest.spawn()
    assert await frail.ingest.wait_for_exit(20) == 2
    [line] = frail.ingest.stray_lines
    assert left_out in line
