"""From a press of a panic button to the closed incident, through the real processes."""

import asyncio
import json

import httpx

from schemas import topics
from schemas.lifecycle import Change
from schemas.report_warnings import said
from tests.support.chain import Chain
from tests.support.database import rows
from tests.support.mails import first_line, link_in, look, mails_about, press_button, recipients, to, wait_for_mails
from tests.support.organisation import KEYS
from tests.support.records import lifecycle_of, records_on
from tests.support.waiting import eventually

GUARD = "wache.bernburg@example.org"
MANAGER = "leitung.bernburg@example.org"
TOLD = [MANAGER, GUARD]


async def status_of(office: Chain, event_id: str) -> str:
    async with httpx.AsyncClient(base_url=office.ingest.url, timeout=10) as client:
        answer = await client.get(f"/v1/events/{event_id}", headers={"Authorization": f"Bearer {KEYS['buttons']}"})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["status"])


async def status_becomes(office: Chain, event_id: str, status: str) -> None:
    await eventually(lambda: status_of(office, event_id), lambda found: found == status)


async def revision_of(office: Chain, incident_id: str) -> tuple[int, str]:
    (row,) = await rows(office.database_url, "select revision, status from incidents where id = $1", incident_id)
    return row["revision"], row["status"]


async def metrics_of(office: Chain) -> str:
    async with httpx.AsyncClient(timeout=10) as client:
        pages = [await client.get(f"{service.url}/metrics") for service in (office.ingest, office.alerting)]
    return "".join(page.text for page in pages)


async def test_a_press_from_request_to_closed(office: Chain) -> None:
    private = {
        "who pressed": "Erika Geheimrat",
        "what happened": "Kunde schwingt Regenschirm-4711",
        "who took over": "Olga Obhut",
        "who came second": "Zacharias Zweit",
        "a note": "Lage-beruhigt-0815",
        "an address": "@example.org",
        "the key": KEYS["buttons"],
    }
    event_id = await office.press(
        {
            "site": "bernburg", "location": "Zimmer 112", "danger_level": 2, "category": "threat",
            "description": private["what happened"], "reported_by": private["who pressed"],
        }
    )  # fmt: skip
    assert await status_of(office, event_id) in {"accepted", "alerted"}

    alarms = await wait_for_mails(office.sink, event_id, 2)
    assert recipients(alarms) == TOLD
    guard, manager = to(alarms, GUARD), to(alarms, MANAGER)
    assert guard.subject == "ALARM Zi. 112 Bernburg · Bedrohung · 110"
    assert first_line(guard).startswith("Zimmer 112, 1. OG links, Bernburg (Parkstraße) – ")
    message = guard.message
    assert message["Auto-Submitted"] == "auto-generated"
    assert message["Importance"] == "high"
    assert message["X-Rufkette-Incident"] == event_id
    assert message["X-Rufkette-Level"] == "2"
    assert message["X-Rufkette-Attempt"] == "1"
    assert message["In-Reply-To"] == message["References"] == manager.message["References"]
    assert message["Message-ID"] != manager.message["Message-ID"]
    for name in ("who pressed", "what happened"):
        assert private[name] not in guard.text() + guard.text("html") + guard.subject + manager.subject
        assert private[name] in manager.text()
    await status_becomes(office, event_id, "alerted")
    # Both results are written before anything is compared: they are changes of their own.
    await eventually(
        lambda: rows(office.database_url, "select 1 from outbox where incident_id = $1 and state = 'due'", event_id),
        lambda left: left == [],
    )

    before = await revision_of(office, event_id)
    link = link_in(guard)
    async with httpx.AsyncClient(timeout=10) as scanner:
        assert (await scanner.head(link)).status_code == 200
        looks = await asyncio.gather(*(scanner.get(link) for _ in range(20)))
        for method in ("PUT", "DELETE", "OPTIONS"):
            assert (await scanner.request(method, link)).status_code == 405
    assert {answer.status_code for answer in looks} == {200}
    assert "Wer übernimmt?" in looks[0].text
    assert "Zimmer 112" in looks[0].text
    assert await revision_of(office, event_id) == before
    assert before[1] == "open"

    page = await press_button(link, name=private["who took over"], action="acknowledge")
    assert private["who took over"] in page
    taken = await wait_for_mails(office.sink, event_id, 2, "taken_over")
    assert recipients(taken) == TOLD
    for mail in taken:
        assert mail.subject.startswith("ÜBERNOMMEN Zi. 112 Bernburg")
        assert private["who took over"] in mail.text()
        assert "Sie müssen nichts tun" in mail.text()
        assert mail.message["References"] == message["References"]
    await status_becomes(office, event_id, "acknowledged")

    second = await press_button(link_in(manager), name=private["who came second"], action="acknowledge")
    assert f"{private['who took over']} hat schon übernommen" in second
    assert private["who came second"] not in second

    closed_page = await press_button(
        link_in(manager), name=private["who took over"], action="close",
        outcome="resolved", note=private["a note"], measures=["Hausverbot"],
    )  # fmt: skip
    assert "Beendet" in closed_page
    closed = await wait_for_mails(office.sink, event_id, 2, "closed")
    assert recipients(closed) == TOLD
    assert all(mail.subject.startswith("BEENDET Zi. 112 Bernburg") for mail in closed)
    assert private["a note"] in to(closed, MANAGER).text()
    assert private["a note"] not in to(closed, GUARD).text()
    await status_becomes(office, event_id, "closed")
    assert len(mails_about(office.sink, event_id)) == 6

    told = await lifecycle_of(office.around, event_id)
    names = [change for change, _ in told]
    assert names == [
        Change.OPENED, Change.POLICE_ADVISED, Change.NOTIFIED, Change.ACKNOWLEDGED, Change.CLOSED,
    ]  # fmt: skip
    revisions = [data.revision for _, data in told]
    assert revisions == sorted(revisions)
    assert len({data.revision for change, data in told if change is not Change.POLICE_ADVISED}) == 4
    assert all(data.event_ids == (event_id,) and data.site == "bernburg" for _, data in told)

    records = await records_on(office.around, topics.LIFECYCLE)
    lifecycle = b"".join((r.value or b"") + b"".join(v for _, v in r.headers) + (r.key or b"") for r in records)
    everything = {
        "ingest's log": office.ingest.output, "alerting's log": office.alerting.output,
        "metrics": await metrics_of(office), "lifecycle": lifecycle.decode(),
    }  # fmt: skip
    everything["logs, decoded"] = json.dumps(office.ingest.logs + office.alerting.logs, ensure_ascii=False)
    betrayed = [(what, where) for where, text in everything.items() for what, word in private.items() if word in text]
    assert betrayed == []
    assert link.rpartition("/")[2] not in office.alerting.output


async def test_a_call_to_110_is_recorded_apart_and_together(office: Chain) -> None:
    event_id = await office.press({"site": "bernburg", "location": "Zimmer 201", "danger_level": 3})
    alarms = await wait_for_mails(office.sink, event_id, 2)
    assert to(alarms, GUARD).subject == "NOTFALL Zimmer 201 Bernburg · 110"
    assert "noch nicht bestätigt" in to(alarms, GUARD).text()
    link = link_in(to(alarms, GUARD))
    await press_button(link, name="Olga Obhut", action="called_police")
    assert (await revision_of(office, event_id))[1] == "open"
    await press_button(link_in(to(alarms, MANAGER)), name="Leo Leiter", action="acknowledge_and_called")
    assert (await revision_of(office, event_id))[1] == "acknowledged"
    (taken, *_) = await wait_for_mails(office.sink, event_id, 2, "taken_over")
    assert "110 angerufen um" in taken.text()
    await press_button(link, name="Leo Leiter", action="hand_over", reference="TGB 12/26")
    await eventually(
        lambda: lifecycle_of(office.around, event_id),
        lambda told: {Change.POLICE_REQUESTED, Change.HANDED_OVER} <= {change for change, _ in told},
    )
    (row,) = await rows(office.database_url, "select state from incidents where id = $1", event_id)
    state = json.loads(row["state"])
    assert [call["by"] for call in state["calls"]] == ["Olga Obhut", "Leo Leiter"]
    assert [one["reference"] for one in state["hand_overs"]] == ["TGB 12/26"]


async def test_an_exercise_says_so_first_and_everywhere(office: Chain) -> None:
    room = {"site": "bernburg", "location": "Zimmer 202", "danger_level": 3}
    exercise = await office.press({**room, "mode": "exercise"})
    real = await office.press(room)
    assert exercise != real
    for mail in await wait_for_mails(office.sink, exercise, 2):
        assert mail.subject.startswith("PROBEALARM Zimmer 202 Bernburg")
        assert "110" not in mail.subject
        for body in (mail.text(), mail.text("html")):
            assert "ÜBUNG. Keine Gefahr, nicht 110 rufen." in body
    # An exercise at the same place never hides a real press: that one opens an incident of its own.
    for mail in await wait_for_mails(office.sink, real, 2):
        assert mail.subject.startswith("NOTFALL Zimmer 202 Bernburg")
        assert "ÜBUNG" not in mail.text()
    link = link_in(mails_about(office.sink, exercise)[0])
    assert "ÜBUNG" in await look(link)
    await press_button(link, name="Olga Obhut", action="acknowledge")
    for mail in await wait_for_mails(office.sink, exercise, 2, "taken_over"):
        assert "Übung" in mail.subject
    assert (await revision_of(office, real))[1] == "open"


async def test_an_unknown_site_and_an_unknown_device_raise_the_alarm_all_the_same(office: Chain) -> None:
    site = {"site": "atlantis", "location": "Zimmer 9", "danger_level": 2}
    device = {"device_id": "btn-999", "danger_level": 2, "categroy": "threat"}
    for body, expected in ((site, "atlantis"), (device, "btn-999")):
        answer = await office.post("/v1/incidents", body, source="buttons")
        assert answer.status_code == 202
        warnings = answer.json()["warnings"]
        assert any(expected in warning for warning in warnings), warnings
        event_id = answer.json()["event_id"]
        mails = await wait_for_mails(office.sink, event_id, 1)
        assert recipients(mails) == ["zentrale@example.org"]
        assert "Ort unbekannt" in mails[0].subject
        for warning in warnings:
            assert said(warning, "de").splitlines()[0] in mails[0].text()


async def test_each_site_in_its_language(office: Chain) -> None:
    event_id = await office.press({"site": "english", "location": "Room 5", "danger_level": 2, "category": "threat"})
    alarms = await wait_for_mails(office.sink, event_id, 2)
    assert {mail.subject for mail in alarms} == {"ALARM Room 5 Hilltop · Threat · 110"}
    assert "POLICE ADVISED" in alarms[0].text()
    link = link_in(alarms[0])
    page = await look(link)
    assert '<html lang="en"' in page
    assert "Threat" in page
    await press_button(link, name="Olga Obhut", action="acknowledge")
    for mail in await wait_for_mails(office.sink, event_id, 2, "taken_over"):
        assert mail.subject.startswith("TAKEN OVER Room 5 Hilltop")
    german = ["Bedrohung", "ÜBERNEHMEN", "Stufe", "Uhr", "Polizei"]
    assert [word for word in german if word in alarms[0].text() + alarms[0].text("html") + page] == []


async def test_line_breaks_and_html_stay_what_they_are_text(office: Chain) -> None:
    place = "Zimmer 7\r\nBcc: fremd@example.net\r\n\r\n<script>alert(1)</script>"
    event_id = await office.press(
        {
            "site": "bernburg", "location": place, "danger_level": 2,
            "description": '<img src=x onerror="alert(2)">\r\n.\r\nQUIT\r\n', "reported_by": "A <b>\r\nX-Evil: 1",
        }
    )  # fmt: skip
    alarms = await wait_for_mails(office.sink, event_id, 2)
    assert recipients(alarms) == TOLD
    for mail in alarms:
        head = mail.content.partition(b"\r\n\r\n")[0].lower()
        assert b"\nbcc:" not in head
        assert b"\nx-evil" not in head
        assert "\n" not in mail.subject
        assert "<script" not in mail.text("html")
        assert "<img" not in mail.text("html")
    manager = to(alarms, MANAGER)
    assert "&lt;img src=x" in manager.text("html")
    page = await look(link_in(manager))
    assert "<script>alert" not in page
    assert "<img" not in page
    assert "&lt;script&gt;" in page


async def test_the_page_says_whom_the_mails_reached(office: Chain) -> None:
    """One takes it, one is refused: whoever reads the page knows whom to phone."""
    office.sink.refuse_recipient(GUARD, times=1)
    event_id = await office.press({"site": "bernburg", "location": "Zimmer 118", "danger_level": 2})
    (mail,) = await wait_for_mails(office.sink, event_id, 1)
    assert recipients([mail]) == [MANAGER]

    async def page() -> str:
        return await look(link_in(mail))

    shown = await eventually(page, lambda found: "Mail kam nicht an" in found and "Mail angenommen" in found)
    assert shown.index("Mail angenommen") < shown.index("Mail kam nicht an"), "whose link it is stands first"
