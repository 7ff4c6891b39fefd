"""Two presses that are one matter, through the real processes: joined, taken over by an old link, parted again."""

import httpx

from tests.support.chain import Chain
from tests.support.mails import link_in, mails_about, press_button, wait_for_mails
from tests.support.organisation import KEYS
from tests.support.waiting import eventually

WHO = {"name": "Olga Obhut", "reason": "Regenschirm-Grund-4711"}


async def known(office: Chain, event_id: str) -> tuple[str, str]:
    async with httpx.AsyncClient(base_url=office.ingest.url, timeout=10) as client:
        answer = await client.get(f"/v1/events/{event_id}", headers={"Authorization": f"Bearer {KEYS['buttons']}"})
    assert answer.status_code == 200, answer.text
    found = answer.json()
    return found["status"], found["incident_id"]


async def becomes(office: Chain, event_id: str, status: str, incident_id: str) -> None:
    await eventually(lambda: known(office, event_id), lambda found: found == (status, incident_id))


async def test_joined_taken_over_by_an_old_link_and_parted_again(office: Chain) -> None:
    room = await office.press({"site": "bernburg", "location": "Zimmer 701", "danger_level": 2})
    corridor = await office.press({"site": "bernburg", "location": "Flur 7", "danger_level": 2})
    old = link_in((await wait_for_mails(office.sink, room, 2))[0])
    await wait_for_mails(office.sink, corridor, 2)

    page = await press_button(old, action="join", into=corridor, **WHO)
    assert "Flur 7, Bernburg (Parkstraße)</h1>" in page
    assert WHO["reason"] in page
    told = await wait_for_mails(office.sink, room, 2, "joined")
    assert all(mail.subject.startswith("ZUSAMMENGELEGT Zimmer 701") for mail in told)
    assert mails_about(office.sink, corridor, "joined") == [], "the same people: one mail each"

    assert "Sie haben übernommen" in await press_button(old, action="acknowledge", name="Olga Obhut")
    await wait_for_mails(office.sink, corridor, 2, "taken_over")
    assert mails_about(office.sink, room, "taken_over") == []
    for event_id in (room, corridor):
        await becomes(office, event_id, "acknowledged", corridor)

    assert "eine eigene Sache" in await press_button(old, action="split", about=corridor, reports=room, **WHO)
    assert len(await wait_for_mails(office.sink, room, 4)) == 4, "it alarms anew"
    await becomes(office, room, "alerted", room)
    await becomes(office, corridor, "acknowledged", corridor)
    said = "".join(service.output for service in (office.ingest, office.alerting))
    assert all(text not in said for text in WHO.values())
    for event in ("incident.joined", "incident.split"):
        assert f'"{event}"' in said
