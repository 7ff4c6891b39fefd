"""`kill -9` between two steps that are named: each step is held open, so the kill falls exactly there."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from tests.support.chain import Chain
from tests.support.database import rows
from tests.support.mails import link_in, mails_about, press_button, wait_for_mails
from tests.support.office import all_mailed
from tests.support.waiting import eventually


@pytest.fixture(autouse=True)
async def everything_running(office: Chain) -> AsyncIterator[None]:
    yield
    office.sink.behave()
    for service in (office.ingest, office.alerting):
        if not service.running:
            await service.start()


async def kill_and_start(office: Chain) -> None:
    office.alerting.kill()
    await office.alerting.start(ready=False)


async def press(office: Chain, room: str) -> str:
    return await office.press({"site": "bernburg", "location": room, "danger_level": 2})


async def stored(office: Chain, event_id: str) -> None:
    query = "select id from incidents where id = $1"
    await eventually(lambda: rows(office.database_url, query, event_id), lambda found: len(found) == 1)


async def test_between_answer_and_reading(office: Chain) -> None:
    office.alerting.kill()
    event_id = await press(office, "Raum 1")
    office.ingest.kill()
    await office.alerting.start()
    await all_mailed(office, [event_id])


async def test_between_storing_and_mailing(office: Chain) -> None:
    await office.sink.stop()
    event_id = await press(office, "Raum 2")
    await stored(office, event_id)
    await kill_and_start(office)
    await office.sink.start()
    await all_mailed(office, [event_id])
    assert len(mails_about(office.sink, event_id)) == 1


async def test_between_handing_the_mail_over_and_the_servers_answer(office: Chain) -> None:
    office.sink.misbehave("stall")
    event_id = await press(office, "Raum 3")

    async def stalled() -> list[str]:
        return [mail.answered for mail in office.sink.received if mail.message["X-Rufkette-Incident"] == event_id]

    await eventually(stalled, lambda answers: answers == ["stall"])
    await kill_and_start(office)
    (mail,) = await wait_for_mails(office.sink, event_id, 1)
    assert mail.message["X-Rufkette-Attempt"] == "2"
    (first,) = [m for m in office.sink.received if m.answered == "stall"]
    assert first.message["Message-ID"] == mail.message["Message-ID"]
    office.sink.received.remove(first)


async def test_during_a_second_attempt(office: Chain) -> None:
    """Its lease is the long one; but whoever has it has shown no life for seconds."""
    office.sink.answer_data("451 4.3.0 later")
    office.sink.misbehave("stall")
    event_id = await press(office, "Raum 3a")

    async def answers() -> list[str]:
        return [mail.answered for mail in office.sink.received if mail.message["X-Rufkette-Incident"] == event_id]

    await eventually(answers, lambda found: found == ["451 4.3.0 later", "stall"])
    await kill_and_start(office)
    (mail,) = await wait_for_mails(office.sink, event_id, 1)
    assert mail.message["X-Rufkette-Attempt"] == "3"
    office.sink.received = [mail for mail in office.sink.received if mail.answered != "stall"]


async def test_between_the_servers_answer_and_recording_it(office: Chain) -> None:
    await office.sink.stop()
    event_id = await press(office, "Raum 4")
    await stored(office, event_id)
    lock = await asyncpg.connect(office.database_url)
    try:
        async with lock.transaction():
            await lock.execute("select 1 from incidents where id = $1 for update", event_id)
            await office.sink.start()
            await wait_for_mails(office.sink, event_id, 1)
            office.alerting.kill()
    finally:
        await lock.close()
    (unrecorded,) = await rows(office.database_url, "select state from outbox where incident_id = $1", event_id)
    assert unrecorded["state"] == "due"
    await office.alerting.start()
    first, again = await wait_for_mails(office.sink, event_id, 2)
    # It cannot be known that the first one was taken, so there are two – which a mail program shows as one.
    assert again.message["Message-ID"] == first.message["Message-ID"]
    assert int(again.message["X-Rufkette-Attempt"]) == int(first.message["X-Rufkette-Attempt"]) + 1
    await all_mailed(office, [event_id])


async def test_between_the_click_and_telling_the_others(office: Chain) -> None:
    event_id = await press(office, "Raum 5")
    (alarm,) = await wait_for_mails(office.sink, event_id, 1)
    await all_mailed(office, [event_id])  # its answer is recorded, else the kill would send it again
    await office.sink.stop()
    page = await press_button(link_in(alarm), name="Olga Obhut", action="acknowledge")
    assert "Olga Obhut" in page
    await kill_and_start(office)
    await office.sink.start()
    (mail,) = await wait_for_mails(office.sink, event_id, 1, "taken_over")
    assert "Olga Obhut" in mail.text()
    assert len(mails_about(office.sink, event_id, "alarm")) == 1


async def test_while_a_step_comes_due(office: Chain) -> None:
    event_id = await press(office, "Raum 6")
    await all_mailed(office, [event_id])
    office.alerting.kill()
    # The hour until the repeat passes while nothing runs.
    await rows(
        office.database_url,
        "update incidents set due_at = now(), state = jsonb_set(state::jsonb, '{due_at}', to_jsonb(now()))"
        " where id = $1",
        event_id,
    )
    await office.alerting.start()
    alarms = await wait_for_mails(office.sink, event_id, 2)
    assert [mail.message["X-Rufkette-Step"] for mail in alarms] == ["alarm-0-1-0", "alarm-0-1-1"]


async def test_ingest_between_publishing_and_answering(office: Chain) -> None:
    body = {"id": "unanswered", "site": "bernburg", "location": "Raum 7", "danger_level": 2}
    first = await office.post("/v1/incidents", body, source="buttons")
    office.ingest.kill()
    # The gateway never saw the answer, so it sends again.
    await office.ingest.start()
    again = await office.post("/v1/incidents", body, source="buttons")
    assert again.json()["event_id"] == first.json()["event_id"]
    event_id = str(again.json()["event_id"])
    await office.alerting.wait_for_event("event.duplicate", event_id=event_id)
    assert len(await wait_for_mails(office.sink, event_id, 1)) == 1
