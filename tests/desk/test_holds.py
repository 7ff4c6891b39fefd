"""The page of holds, over the real routes."""

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from services.alerting.core.incident import Incident
from services.alerting.desk.holding import Hold
from services.alerting.desk.holds import holds_router
from tests.core.made_up import PRESSED_AT, pressed, rules
from tests.desk.in_memory import Desk


@dataclass
class HoldingInMemory:
    """`incidents` are found by their id or code."""

    incidents: list[Incident]
    holds: dict[str, Hold] = field(default_factory=dict)
    vanished: bool = False
    away: bool = False

    async def standing(self) -> Sequence[Hold]:
        if self.away:
            raise ConnectionRefusedError
        return list(self.holds.values())

    async def find(self, name: str) -> Sequence[Incident]:
        return [incident for incident in self.incidents if name.strip() in {incident.id, incident.code}]

    async def place(self, incident_id: str, *, reason: str, by: str) -> bool:
        if self.vanished:
            raise LookupError(incident_id)
        if incident_id in self.holds:
            return False
        (incident,) = await self.find(incident_id)
        self.holds[incident_id] = Hold(incident, reason, by, PRESSED_AT)
        return True

    async def end(self, incident_id: str, *, by: str) -> bool:
        return self.holds.pop(incident_id, None) is not None


@dataclass
class Office:
    client: httpx.AsyncClient
    holding: HoldingInMemory

    async def send(self, **fields: Any) -> httpx.Response:
        return await self.client.post("/holds", data=fields)


@pytest.fixture(params=["de"])
async def office(request: pytest.FixtureRequest) -> AsyncIterator[Office]:
    given = rules()
    if request.param == "en":
        organisation = given.configuration.organisation.model_copy(update={"language": "en"})
        given = replace(given, configuration=given.configuration.model_copy(update={"organisation": organisation}))
    holding = HoldingInMemory([pressed(given, event_id="one"), pressed(given, event_id="two/3")])
    app = FastAPI()
    app.include_router(holds_router(holding, lambda: given, lambda: PRESSED_AT))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://desk") as client:
        yield Office(client, holding)


PLACE = {"action": "place", "incident": "one", "reason": "Strafanzeige", "name": "A. Muster"}
END = {"action": "end", "incident": "one", "name": "B. Beispiel"}


async def test_placed_listed_and_ended(office: Office) -> None:
    assert "Keine." in (await office.client.get("/holds")).text
    answer = await office.send(**(PLACE | {"incident": office.holding.incidents[0].code}))
    assert (answer.status_code, answer.headers["location"]) == (303, "./holds?done=placed")
    page = (await office.client.get("/holds?done=placed")).text
    for said in ("Die Löschsperre gilt.", "Zi. 112 Bernburg, 09:12", "Seit 09:12 Uhr, von A. Muster", "Strafanzeige"):
        assert said in page
    answer = await office.send(**END)
    assert (answer.status_code, answer.headers["location"]) == (303, "./holds?done=ended")
    page = (await office.client.get("/holds?done=ended")).text
    assert "Die Löschsperre ist aufgehoben." in page
    assert "Strafanzeige" not in page


async def test_an_id_with_a_slash(office: Office) -> None:
    assert 'value="two/3"' in (await office.client.get("/holds", params={"incident": "two/3"})).text
    assert (await office.send(**(PLACE | {"incident": "two/3"}))).status_code == 303
    assert 'href="incidents/two%2F3"' in (await office.client.get("/holds")).text
    assert (await office.send(**(END | {"incident": "two/3"}))).status_code == 303


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (PLACE | {"name": " "}, "Ihr Name fehlt"),
        (PLACE | {"name": "x" * 121}, "Ihr Name“ ist zu lang: höchstens 120 Zeichen"),
        (PLACE | {"reason": ""}, "Der Grund fehlt"),
        (PLACE | {"reason": "x" * 301}, "Grund“ ist zu lang: höchstens 300 Zeichen"),
        (PLACE | {"incident": " "}, "Der Vorgang fehlt"),
        (PLACE | {"incident": "nope"}, "Vorgang „nope“ gibt es nicht"),
        (END, "gilt keine Löschsperre"),
        (END | {"incident": "nope"}, "Vorgang „nope“ gibt es nicht"),
        (END | {"name": ""}, "Ihr Name fehlt"),
        ({"action": "drop tables"}, "Aktion gibt es hier nicht"),
        ({}, "Aktion gibt es hier nicht"),
        ({f"field{n}": "1" for n in range(30)}, "Aktion gibt es hier nicht"),
    ],
)
async def test_what_is_wrong_is_said_and_nothing_is_done(office: Office, fields: dict[str, Any], said: str) -> None:
    answer = await office.send(**fields)
    assert answer.status_code in {400, 422}
    assert said in answer.text
    assert not office.holding.holds


async def test_a_hold_that_stands_is_not_replaced(office: Office) -> None:
    await office.send(**PLACE)
    answer = await office.send(**(PLACE | {"reason": "anderer"}))
    assert (answer.status_code, "gilt schon eine Löschsperre" in answer.text) == (422, True)
    assert office.holding.holds["one"].reason == "Strafanzeige"


async def test_an_incident_deleted_while_the_form_was_filled_in(office: Office) -> None:
    office.holding.vanished = True
    assert "gibt es nicht oder nicht mehr" in (await office.send(**PLACE)).text


async def test_of_several_with_one_code_the_full_id_is_asked_for(office: Office) -> None:
    code = office.holding.incidents[0].code
    namesake = replace(office.holding.incidents[1], id="x387900")
    assert namesake.code == code
    office.holding.incidents.append(namesake)
    answer = await office.send(**(PLACE | {"incident": code}))
    assert answer.status_code == 422
    assert f"Bitte die ganze Kennung angeben: one, {namesake.id}." in answer.text
    assert not office.holding.holds
    await office.send(**PLACE)
    # Only one of them is on hold: there is no doubt which is meant.
    assert (await office.send(**(END | {"incident": code}))).status_code == 303


async def test_what_was_typed_is_shown_again_and_escaped(office: Office) -> None:
    answer = await office.send(**(PLACE | {"name": "", "reason": '"><script>alert(1)</script>'}))
    assert "<script>" not in answer.text
    assert "&gt;&lt;script&gt;alert(1)" in answer.text
    assert 'value="one"' in answer.text


async def test_a_form_of_another_site_is_refused(office: Office) -> None:
    answer = await office.client.post("/holds", data=PLACE, headers={"sec-fetch-site": "cross-site"})
    assert (answer.status_code, "kam nicht von dieser Seite" in answer.text) == (403, True)
    assert not office.holding.holds


async def test_looking_changes_nothing(office: Office) -> None:
    for method in ("GET", "HEAD"):
        assert (await office.client.request(method, "/holds", params=PLACE)).status_code == 200
    assert not office.holding.holds


async def test_what_is_no_form_or_too_large(office: Office) -> None:
    assert (await office.client.post("/holds", json=PLACE)).status_code == 400
    assert (await office.client.post("/holds", data={"name": "x" * 70_000})).status_code == 400


async def test_without_the_database_it_says_so(office: Office) -> None:
    office.holding.away = True
    answer = await office.client.get("/holds")
    assert (answer.status_code, "Gerade nicht erreichbar" in answer.text) == (503, True)


@pytest.mark.parametrize("office", ["en"], indirect=True)
async def test_in_english(office: Office) -> None:
    await office.send(**PLACE)
    text = (await office.client.get("/holds?done=placed")).text
    assert "The incident is on hold." in text
    assert "by A. Muster" in text
    assert "Löschsperre" not in text


# the rest of the desk


async def test_pages_of_an_incident_say_that_it_is_on_hold_without_why() -> None:
    desk = Desk(rules(), PRESSED_AT)
    incident = pressed(desk.rules)
    desk.incidents.add(incident)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(desk.app), base_url="http://desk") as client:
        pages = [f"/incidents/{incident.id}", desk.link(incident)]
        assert all(["wird vorerst nichts gelöscht" not in (await client.get(page)).text for page in pages])
        desk.incidents.on_hold.add(incident.id)
        assert all(["wird vorerst nichts gelöscht" in (await client.get(page)).text for page in pages])
        assert f'href="../holds?incident={incident.id}"' in (await client.get(pages[0])).text
        assert "../holds" not in (await client.get(pages[1])).text
        assert 'href="holds"' in (await client.get("/")).text
