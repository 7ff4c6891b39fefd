"""The page of announced tests and planned silences, over the real routes."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from structlog.testing import capture_logs

from schemas.events import Outcome
from services.alerting.core.codes import code_of
from services.alerting.core.plans import AnnouncedTest, Plans, Silence
from services.alerting.desk.planning import Planned
from services.alerting.desk.plans import plans_router
from tests.core.made_up import PRESSED_AT, pressed, rules
from tests.desk.in_memory import Desk


@dataclass
class PlanningInMemory:
    known: Planned = field(default_factory=Planned)
    ended: list[tuple[str, str]] = field(default_factory=list)
    away: bool = False

    async def planned(self) -> Planned:
        if self.away:
            raise ConnectionRefusedError
        return self.known

    async def announce(self, test: AnnouncedTest) -> None:
        plans = replace(self.known.plans, tests=(*self.known.plans.tests, test))
        self.known = replace(self.known, plans=plans)

    async def silence(self, silence: Silence) -> None:
        plans = replace(self.known.plans, silences=(*self.known.plans.silences, silence))
        self.known = replace(self.known, plans=plans)

    async def end(self, plan_id: str, by: str) -> bool:
        self.ended.append((plan_id, by))
        return plan_id == "s1"


@dataclass
class Office:
    client: httpx.AsyncClient
    planning: PlanningInMemory

    async def send(self, **fields: Any) -> httpx.Response:
        return await self.client.post("/plans", data=fields)

    @property
    def plans(self) -> Plans:
        return self.planning.known.plans


@pytest.fixture(params=["de"])
async def office(request: pytest.FixtureRequest) -> AsyncIterator[Office]:
    given = rules()
    if request.param == "en":
        organisation = given.configuration.organisation.model_copy(update={"language": "en"})
        given = replace(given, configuration=given.configuration.model_copy(update={"organisation": organisation}))
    planning = PlanningInMemory()
    app = FastAPI()
    app.include_router(plans_router(planning, lambda: given, lambda: PRESSED_AT))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://desk") as client:
        yield Office(client, planning)


SILENCE = {"action": "silence", "where": "site:bernburg", "until": "2026-01-05T12:00", "reason": "Umzug", "name": "M"}
TEST = {"action": "announce", "site": "bernburg", "minutes": "15", "name": "A. Muster"}


async def test_a_test_of_chosen_buttons(office: Office) -> None:
    answer = await office.send(**TEST, devices=["btn112"])
    assert (answer.status_code, answer.headers["location"]) == (303, "./plans?done=announced")
    (test,) = office.plans.tests
    assert (test.site, test.devices, test.by) == (None, ("btn112",), "A. Muster")
    assert (test.starts_at, test.ends_at) == (PRESSED_AT, PRESSED_AT + timedelta(minutes=15))
    page = await office.client.get("/plans?done=announced")
    assert "Der Test ist angekündigt." in page.text
    assert "btn-112 (Zimmer 112 Bernburg)" in page.text
    assert "09:12 bis 09:27, von A. Muster" in page.text


async def test_a_test_of_a_site_that_begins_later(office: Office) -> None:
    await office.send(**TEST, starts="2026-01-06T07:00")
    (test,) = office.plans.tests
    assert (test.site, test.devices) == ("bernburg", ())
    assert test.starts_at.isoformat() == "2026-01-06T06:00:00+00:00"
    assert "Bernburg: alle Knöpfe" in (await office.client.get("/plans")).text


@pytest.mark.parametrize("where", ["site:bernburg", "device:btn112"])
async def test_a_silence(office: Office, where: str) -> None:
    answer = await office.send(**(SILENCE | {"where": where}))
    assert (answer.status_code, answer.headers["location"]) == (303, "./plans?done=planned")
    (silence,) = office.plans.silences
    assert (silence.site or silence.device) == where.partition(":")[2]
    assert (silence.reason, silence.by) == ("Umzug", "M")
    assert silence.ends_at.isoformat() == "2026-01-05T11:00:00+00:00"
    office.planning.known = replace(office.planning.known, held_back={silence.id: ("one", "two/3")})
    page = (await office.client.get("/plans")).text
    assert "Zurückgehaltene Vorgänge: 2" in page
    assert f'href="incidents/two%2F3">Vorgang {code_of("two/3")}</a>' in page


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        (TEST | {"minutes": "31"}, "1 bis 30"),
        (TEST | {"minutes": "0"}, "1 bis 30"),
        (TEST | {"minutes": "²"}, "1 bis 30"),
        (TEST | {"name": " "}, "Ihr Name fehlt"),
        (TEST | {"name": "x" * 121}, "120 Zeichen"),
        (TEST | {"site": ""}, "Standort oder ein Gerät"),
        (TEST | {"site": "mars"}, "Standort gibt es nicht"),
        (TEST | {"devices": ["nope"]}, "Gerät gibt es nicht"),
        (TEST | {"site": "stassfurt", "devices": ["btn112"]}, "gehört nicht zum gewählten Standort"),
        (TEST | {"starts": "morgen"}, "keine Zeit"),
        (SILENCE | {"where": ""}, "Standort oder ein Gerät"),
        (SILENCE | {"where": "device:nope"}, "Gerät gibt es nicht"),
        (SILENCE | {"until": ""}, "keine Zeit"),
        (SILENCE | {"until": "2026-01-05T08:00"}, "nach dem Anfang"),
        (SILENCE | {"until": "2026-01-13T12:00"}, "7 Tage"),
        (SILENCE | {"until": "0001-01-01T00:00"}, "keine Zeit"),
        (SILENCE | {"reason": ""}, "Grund fehlt"),
        ({"action": "end", "plan": "s1"}, "Ihr Name fehlt"),
        ({"action": "end", "plan": "gone", "name": "M"}, "schon zu Ende"),
        ({"action": "drop tables"}, "Aktion gibt es hier nicht"),
        ({}, "Aktion gibt es hier nicht"),
    ],
)
async def test_what_is_wrong_is_said_and_nothing_is_made(office: Office, fields: dict[str, Any], said: str) -> None:
    answer = await office.send(**fields)
    assert answer.status_code in {400, 422}
    assert said in answer.text
    assert not office.plans


async def test_what_was_typed_is_shown_again_and_escaped(office: Office) -> None:
    answer = await office.send(**(SILENCE | {"until": "", "reason": '"><script>alert(1)</script>'}))
    assert "<script>" not in answer.text
    assert "&gt;&lt;script&gt;alert(1)" in answer.text
    assert 'value="site:bernburg" checked' in answer.text


async def test_ending_early(office: Office) -> None:
    answer = await office.send(action="end", plan="s1", name="B. Beispiel")
    assert answer.headers["location"] == "./plans?done=ended"
    assert office.planning.ended == [("s1", "B. Beispiel")]


@pytest.mark.parametrize(
    ("headers", "taken"),
    [
        ({"sec-fetch-site": "same-origin"}, True),
        ({"sec-fetch-site": "cross-site"}, False),
        ({"sec-fetch-site": "same-site"}, False),
        ({"origin": "http://desk"}, True),
        ({"origin": "https://office.example.org", "x-forwarded-host": "office.example.org"}, True),
        ({"origin": "https://evil.example.org"}, False),
        ({"origin": "null"}, False),
    ],
)
async def test_a_form_of_another_site_is_refused(office: Office, headers: dict[str, str], taken: bool) -> None:
    answer = await office.client.post("/plans", data=SILENCE, headers=headers)
    assert answer.status_code == (303 if taken else 403)
    assert bool(office.plans) is taken


async def test_looking_changes_nothing(office: Office) -> None:
    for _ in range(2):
        answer = await office.client.get("/plans", params=SILENCE)
        assert answer.status_code == 200
    assert (await office.client.head("/plans")).status_code == 200
    assert not office.plans


async def test_what_is_no_form_or_too_large(office: Office) -> None:
    assert (await office.client.post("/plans", json=SILENCE)).status_code == 400
    assert (await office.client.post("/plans", data={"name": "x" * 70_000})).status_code == 400


async def test_without_the_database_it_says_so(office: Office) -> None:
    office.planning.away = True
    with capture_logs() as lines:
        answer = await office.client.get("/plans")
    assert [(line["event"], line["exc_info"]) for line in lines] == [("page.unavailable", None)]
    assert answer.status_code == 503
    assert "Gerade nicht erreichbar" in answer.text


@pytest.mark.parametrize("office", ["en"], indirect=True)
async def test_in_english(office: Office) -> None:
    await office.send(**TEST)
    text = (await office.client.get("/plans")).text
    assert "Announced tests" in text
    assert "Bernburg: all buttons" in text
    assert "never tested" in text
    assert "Ruhe" not in text


async def test_last_tests_are_shown_where_tests_are_announced(office: Office) -> None:
    assert "noch nie getestet" in (await office.client.get("/plans")).text
    office.planning.known = Planned(last_tests={"btn112": PRESSED_AT})
    assert "zuletzt getestet 09:12" in (await office.client.get("/plans")).text


# the rest of the desk


def desk_with(plans: Plans) -> Desk:
    return Desk(replace(rules(), plans=plans), PRESSED_AT)


def client_of(desk: Desk) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(desk.app), base_url="http://desk")


def a_test() -> AnnouncedTest:
    return AnnouncedTest("t", "bernburg", (), PRESSED_AT, PRESSED_AT + timedelta(minutes=30), "Geheim")


async def test_the_board_shows_what_is_in_force_without_names() -> None:
    ends = PRESSED_AT + timedelta(hours=2)
    silence = Silence("s", "bernburg", None, PRESSED_AT, ends, "Vertraulich", "Geheim")
    later = Silence("s2", "stassfurt", None, ends, ends + timedelta(hours=1), "Umzug", "Geheim")
    desk = desk_with(Plans((a_test(),), (silence, later)))
    desk.incidents.add(pressed(desk.rules))
    desk.incidents.add(pressed(desk.rules, event_id="f", kind="form", danger_level=1, category=None, location="9"))
    async with client_of(desk) as client:
        board = (await client.get("/")).text
    assert "Angekündigter Test bis 09:42: Bernburg: alle Knöpfe" in board
    assert "Geplante Ruhe bis 11:12: Bernburg." in board
    assert "Staßfurt" not in board
    assert "Geheim" not in board + "Vertraulich"
    assert "ANGEKÜNDIGTER TEST" in board
    assert "Zurückgehalten bis 11:12 Uhr" in board


@pytest.mark.parametrize("announced", [True, False])
async def test_closing_as_a_test(announced: bool) -> None:
    desk = desk_with(Plans((a_test(),) if announced else ()))
    incident = pressed(desk.rules)
    desk.incidents.add(incident)
    async with client_of(desk) as client:
        page = (await client.get(desk.link(incident))).text
        assert ('value="test"' in page) is announced
        assert ("ANGEKÜNDIGTER TEST – im Zweifel echt." in page) is announced
        answer = await client.post(desk.link(incident), data={"action": "close", "outcome": "test", "name": "M"})
    assert answer.status_code == (303 if announced else 422)
    closing = desk.incidents.known[incident.id].closing
    assert (closing.outcome if closing else None) == (Outcome.TEST if announced else None)
