"""CloudEvents over HTTP, and a button that can only call an address, to the mails."""

import time
from typing import Any

import httpx
import jwt

from schemas.lifecycle import Change
from tests.e2e.conftest import FLIC, SHELLY_SECRET
from tests.support.chain import Chain
from tests.support.mails import first_line, wait_for_mails
from tests.support.organisation import KEYS
from tests.support.records import lifecycle_of
from tests.support.waiting import eventually

BATCH = "application/cloudevents-batch+json"


def follow_up(name: str, incident_id: str, **data: Any) -> dict[str, Any]:
    return {
        "specversion": "1.0", "id": f"{name}-{incident_id}", "source": "/bus", "subject": incident_id,
        "type": f"rufkette.incident.{name}.v1", "data": data,
    }  # fmt: skip


async def send(office: Chain, content: object, kind: str = "application/cloudevents+json") -> httpx.Response:
    async with httpx.AsyncClient(base_url=office.ingest.url, timeout=10) as client:
        headers = {"Authorization": f"Bearer {KEYS['desk']}", "Content-Type": kind}
        return await client.post("/v1/events", json=content, headers=headers)


async def test_what_people_do_elsewhere_reaches_those_who_were_told(office: Chain) -> None:
    event_id = await office.press({"site": "bernburg", "location": "Zimmer 505", "danger_level": 2})
    await wait_for_mails(office.sink, event_id, 2)
    answer = await send(office, follow_up("acknowledged", event_id, by="Leitstelle"))
    assert (answer.status_code, answer.json()["status"]) == (202, "accepted"), answer.text
    taken = await wait_for_mails(office.sink, event_id, 2, "taken_over")
    assert "Leitstelle" in taken[0].text()
    batch = [
        follow_up("police_requested", event_id, by="Leitstelle"),
        follow_up("handed_over", event_id, by="Leitstelle", reference="ST/17"),
        follow_up("closed", event_id, by="Leitstelle", outcome="resolved"),
    ]
    answers = await send(office, batch, BATCH)
    assert [one["status"] for one in answers.json()] == ["accepted"] * 3
    closed = await wait_for_mails(office.sink, event_id, 2, "closed")
    assert "ST/17" in closed[0].text() or "ST/17" in closed[-1].text()

    async def said() -> set[Change]:
        return {change for change, _ in await lifecycle_of(office.around, event_id)}

    wanted = {Change.ACKNOWLEDGED, Change.POLICE_REQUESTED, Change.HANDED_OVER, Change.CLOSED}
    await eventually(said, lambda changes: changes >= wanted)
    again = await send(office, batch, BATCH)
    assert [one["event_id"] for one in again.json()] == [one["event_id"] for one in answers.json()]
    for name in ("incident.acknowledged", "incident.police_called", "incident.handed_over", "incident.closed"):
        assert len(office.alerting.events(name, incident_id=event_id)) == 1
    assert (
        await send(office, follow_up("acknowledged", event_id, by="A") | {"id": f"late-{event_id}"})
    ).status_code == 202
    late = await office.alerting.wait_for_event("event.without_effect", incident_id=event_id)
    assert (late["reason"], late["site"]) == ("already_closed", "bernburg")


async def test_a_call_of_an_address_is_an_alarm(office: Chain) -> None:
    async with httpx.AsyncClient(base_url=office.ingest.url, timeout=10) as client:
        wrong = await client.get("/v1/hooks/shelly/btn-504", params={"secret": "guessed"})
        looked = await client.head("/v1/hooks/shelly/btn-504", params={"secret": SHELLY_SECRET})
        answer = await client.get("/v1/hooks/shelly/btn-504", params={"secret": SHELLY_SECRET})
    assert (wrong.status_code, looked.status_code, answer.status_code) == (401, 405, 202)
    mails = await wait_for_mails(office.sink, answer.json()["event_id"], 2)
    assert first_line(mails[0]).startswith("Zimmer 504")
    assert SHELLY_SECRET not in office.ingest.output


async def test_a_flic_button(office: Chain) -> None:
    claims = {"exp": time.time() + 3600, "buttonSerialNumber": "BC44-B06243", "clickType": "click"}
    token = jwt.encode(claims, FLIC, algorithm="ES256")
    async with httpx.AsyncClient(base_url=office.ingest.url, timeout=10) as client:
        answers = [
            await client.post("/v1/hooks/flic", params={"secret": SHELLY_SECRET}, json={"token": token})
            for _ in range(2)
        ]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].json()["event_id"] == answers[1].json()["event_id"]
    mails = await wait_for_mails(office.sink, answers[0].json()["event_id"], 2)
    assert first_line(mails[0]).startswith("Zimmer 506")
    assert token not in office.ingest.output
