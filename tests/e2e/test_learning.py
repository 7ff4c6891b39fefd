"""A form in learning mode beside a real press in the same room."""

from datetime import UTC, datetime
from typing import Any

import httpx

from schemas import codec
from schemas.events import Event, Kind, Reported
from schemas.lifecycle import Change
from services.alerting import store
from services.alerting.core.incident import Status
from tests.e2e.conftest import INTEGRATOR, NEW_KEY
from tests.support.chain import Chain
from tests.support.database import rows
from tests.support.mails import link_in, mails_about, recipients, wait_for_mails
from tests.support.records import lifecycle_of, write

ROOM = "Zimmer 611"
TOLD = ["leitung.bernburg@example.org", "wache.bernburg@example.org"]
SECRET = "Frau Geheim am Schalter"


async def post(office: Chain, fields: dict[str, str]) -> httpx.Response:
    async with httpx.AsyncClient(base_url=office.ingest.url, timeout=10) as client:
        path = f"/v1/hooks/new-form?von={SECRET}"
        return await client.post(path, data=fields, headers={"Authorization": f"Bearer {NEW_KEY}"})


def shown(office: Chain) -> list[dict[str, Any]]:
    return [dict(record) for record in office.ingest.events("fields.learned", source="new-form")]


async def test_a_form_that_learns_and_a_real_press_in_the_same_room(office: Chain) -> None:
    answer = await post(office, {"standort": "bernburg", "raum": ROOM, "beschreibung": SECRET})
    assert answer.status_code == 202, answer.text
    learnt = answer.json()["event_id"]
    (mail,) = await wait_for_mails(office.sink, learnt, 1)
    assert mail.recipients == (INTEGRATOR,)
    assert mail.subject == f"LERNMODUS {ROOM} Bernburg"
    assert "Nur die Testadresse wurde informiert, sonst niemand." in mail.text()
    assert "zuerst Haussicherheit, Standortleitung." in mail.text()
    assert mail.message["Importance"] is None
    assert shown(office)[-1]["fields"] == ["standort: text", "raum: text", "beschreibung: text", "?von: text"]

    # The same room at the same moment: as if nothing had come before, and nothing after it changes it.
    real = await office.press({"site": "bernburg", "location": ROOM, "danger_level": 2})
    assert real != learnt
    assert recipients(await wait_for_mails(office.sink, real, 2)) == TOLD
    state = "select state from incidents where id = $1"
    second = (await post(office, {"standort": "bernburg", "raum": ROOM})).json()["event_id"]
    await wait_for_mails(office.sink, second, 1)
    (found,) = await rows(office.database_url, state, real)
    incident = store.from_json(found[0])
    assert (incident.event_ids, incident.status, incident.level) == ((real,), Status.OPEN, 2)

    # Each message is one mail to the test address, and nobody else ever hears of it.
    assert [mail.recipients for mail in mails_about(office.sink, learnt)] == [(INTEGRATOR,)]
    assert [mail.recipients for mail in mails_about(office.sink, second)] == [(INTEGRATOR,)]
    told_of = {mail.message["X-Rufkette-Incident"] for mail in office.sink.accepted if INTEGRATOR in mail.recipients}
    assert real not in told_of
    assert SECRET not in office.ingest.output + office.alerting.output

    (row,) = await rows(office.database_url, "select status, due_at, mode from incidents where id = $1", learnt)
    assert tuple(row) == ("closed", None, "learning")
    changes = await lifecycle_of(office.around, learnt)
    assert {change for change, _ in changes} >= {Change.OPENED, Change.CLOSED}
    assert all(data.learning for _, data in changes)


async def test_whoever_fills_the_form_in_is_told_that_it_is_a_test(office: Chain) -> None:
    async with httpx.AsyncClient(base_url=office.ingest.url, timeout=10) as client:
        headers = {"Authorization": f"Bearer {NEW_KEY}", "Accept": "text/html"}
        fields = {"standort": "bernburg", "raum": "Zimmer 615"}
        page = await client.post("/v1/hooks/new-form", data=fields, headers=headers)
    assert page.status_code == 202
    assert "Nur ein Test" in page.text
    assert "niemand von Ihrer Meldung" in page.text
    assert "110" in page.text
    assert "angekommen" not in page.text


async def test_a_message_that_is_refused_shows_its_fields_too(office: Chain) -> None:
    count = len(shown(office))
    answer = await post(office, {"standort": "mars", "Was ist passiert?": SECRET})
    assert answer.status_code == 422
    assert len(shown(office)) == count + 1
    assert (shown(office)[-1]["fields"], shown(office)[-1]["unnamed"]) == (["standort: text", "?von: text"], 1)


async def test_the_page_of_the_mail_and_the_board_say_so_and_offer_nothing(office: Chain) -> None:
    learnt = (await post(office, {"standort": "bernburg", "raum": "Zimmer 612"})).json()["event_id"]
    (mail,) = await wait_for_mails(office.sink, learnt, 1)
    async with httpx.AsyncClient(timeout=10) as client:
        page = (await client.get(link_in(mail))).text
        board = (await client.get(f"{office.alerting.url}/")).text
        done = await client.post(link_in(mail), data={"name": "A. Muster", "action": "called_police"})
    assert "LERNMODUS" in page
    assert "NIEMAND SONST WEISS DAVON" in page
    assert "<form" not in page
    assert "LERNMODUS" in board
    assert done.status_code < 500
    (found,) = await rows(office.database_url, "select state from incidents where id = $1", learnt)
    assert store.from_json(found[0]).calls == ()


async def test_it_is_said_at_the_start_and_counted(office: Chain) -> None:
    assert office.ingest.events("source.learning", source="new-form")
    async with httpx.AsyncClient(base_url=office.ingest.url, timeout=10) as client:
        assert "rufkette_ingest_learning_sources 1.0" in (await client.get("/metrics")).text
        page = (await client.get("/v1/sources", headers={"Authorization": f"Bearer {NEW_KEY}"})).json()
    assert page["sources"]["new-form"]["learning"] is True


async def test_a_mark_that_somebody_forged_on_kafka_hides_nothing(office: Chain) -> None:
    data = Reported(kind=Kind.PANIC, site="bernburg", location="Zimmer 613", danger_level=2, learning=True)
    record = codec.encode(Event(id="forged-learning", source="buttons", time=datetime.now(UTC), data=data))
    await write(office.around, record.value, record.headers)
    assert recipients(await wait_for_mails(office.sink, "forged-learning", 2)) == TOLD
    await office.alerting.wait_for_event("learning.ignored", event_id="forged-learning")
