"""Joining two incidents and splitting one on the page behind the link of a mail."""

from datetime import timedelta
from typing import Any

import httpx
import pytest

from schemas.events import Event, Kind, Reported
from services.alerting.core.decide import decide
from services.alerting.core.effects import Reason
from services.alerting.core.incident import Incident, Status
from tests.core.made_up import PRESSED_AT
from tests.desk.conftest import Visit, visit_to

WHO = {"name": "A. Muster", "reason": "dieselbe Person, sie lief weiter"}
JOIN = {"action": "join", "into": "corridor", **WHO}


@pytest.fixture
def two(client: httpx.AsyncClient) -> tuple[Visit, Visit]:
    """Room 112 and the corridor; the manager was told of both."""
    room = visit_to(client)
    return room, visit_to(client, event_id="corridor", location="Flur 1")


def merged(visit: Visit, event_id: str, **report: Any) -> Incident:
    """A further report that joins the visited incident by itself."""
    data = Reported.model_validate({"kind": Kind.FORM, "site": "bernburg", "location": "112"} | report)
    event = Event(id=event_id, source="forms", time=PRESSED_AT + timedelta(minutes=2), data=data)
    decision = decide([visit.incident], event, now=event.time, rules=visit.desk.rules)
    assert decision.reason is Reason.MERGED
    assert decision.incident is not None
    visit.desk.incidents.known[visit.incident_id] = decision.incident
    return decision.incident


async def test_the_old_link_leads_to_the_incident_that_goes_on(two: tuple[Visit, Visit]) -> None:
    room, corridor = two
    page = await room.follow(**JOIN)
    assert "Flur 1, Bernburg (Parkstraße)</h1>" in page
    assert "Der Vorgang aus Ihrer Mail (Zimmer 112, 1. OG links, Bernburg (Parkstraße), 09:12 Uhr) wurde mit" in page
    assert "Grund: dieselbe Person, sie lief weiter" in page
    assert "Auch gemeldet: Zimmer 112, 1. OG links, Bernburg (Parkstraße)." in page
    assert "Mit einem anderen Vorgang zusammengelegt" in page
    assert room.incident.joined is not None
    assert "Sie haben übernommen" in await room.follow(action="acknowledge", name="B. Beispiel")
    assert corridor.incident.status is Status.ACKNOWLEDGED
    assert corridor.incident.taken is not None
    assert corridor.incident.taken.by == "B. Beispiel"


async def test_the_page_without_a_link_shows_where_it_went_but_nobody(two: tuple[Visit, Visit]) -> None:
    room, _ = two
    await room.send(**JOIN)
    page = (await room.client.get(f"/incidents/{room.incident_id}")).text
    assert "Zusammengelegt mit: Flur 1, Bernburg (Parkstraße)" in page
    assert 'href="../incidents/corridor"' in page
    assert "noch nicht bestätigt" not in page, "the police state is told where it goes on"
    board = (await room.client.get("/")).text
    assert "Zusammengelegt seit 09:16 Uhr" in board
    for text in (page, board, (await room.client.get("/incidents/corridor")).text):
        assert "A. Muster" not in text
        assert "dieselbe Person" not in text


async def test_what_could_be_joined_is_offered(two: tuple[Visit, Visit], client: httpx.AsyncClient) -> None:
    room, _ = two
    visit_to(client, event_id="drill", mode="exercise", location="Raum 9")
    visit_to(client, event_id="hill", site="english", location="Room 4")
    closed = visit_to(client, event_id="over", location="Raum 8")
    await closed.send(action="close", name="A", outcome="resolved")
    page = (await room.look()).text
    assert 'name="into" value="corridor"' in page
    assert "Flur 1, Bernburg (Parkstraße), 09:12 Uhr, Stufe 2 (laut Knopf). Offen. Vorgang" in page
    for other in ("drill", "hill", "over", room.incident_id):
        assert f'name="into" value="{other}"' not in page
    assert 'value="join"' not in (await closed.look()).text


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"action": "join", "into": "corridor", "name": "A"}, "einen Grund"),
        ({"action": "join", "into": "corridor", "reason": "x"}, "Ihr Name fehlt"),
        ({"action": "join", **WHO}, "mit welchem Vorgang"),
        ({"action": "join", "into": "corridor", "name": "A", "reason": "x" * 301}, "höchstens 300 Zeichen"),
        ({"action": "join", "into": "gone\x00", **WHO}, "gibt es nicht mehr"),
        ({"action": "join", "into": "press-1", **WHO}, "mit sich selbst"),
        ({"action": "join", "into": "drill", **WHO}, "Eine Übung und ein echter Vorgang"),
        ({"action": "split", **WHO}, "mindestens eine Meldung"),
        ({"action": "split", "reports": "press-1", **WHO}, "erste Meldung bleibt"),
        ({"action": "split", "reports": "nothing", **WHO}, "gehört nicht mehr"),
    ],
)
async def test_what_is_missing_or_refused_is_said_and_nothing_is_done(
    two: tuple[Visit, Visit], client: httpx.AsyncClient, fields: dict[str, str], said: str
) -> None:
    room, _ = two
    visit_to(client, event_id="drill", mode="exercise")
    before = dict(room.desk.incidents.known)
    answer = await room.send(**fields)
    assert (answer.status_code, said in answer.text) == (422, True)
    assert room.desk.incidents.known == before


async def test_inputs_are_kept(two: tuple[Visit, Visit]) -> None:
    room, _ = two
    page = (await room.send(action="join", into="corridor", reason="<b>gleich</b>")).text
    assert 'value="corridor" checked' in page
    assert 'value="&lt;b&gt;gleich&lt;/b&gt;"' in page


async def test_a_page_from_before_the_joining_ends_nothing_that_it_did_not_show(two: tuple[Visit, Visit]) -> None:
    room, corridor = two
    await room.send(**JOIN)
    visit_to(room.client, event_id="hall", location="Halle")
    stale: list[dict[str, str]] = [
        {"action": "close", "outcome": "false_alarm", "name": "B"},
        {"action": "join", "into": "hall", **WHO},
        {"action": "split", "reports": "press-1", **WHO},
    ]
    for fields in (*stale, *({**one, "about": "press-1"} for one in stale)):
        answer = await room.send(**fields)
        assert answer.status_code == 422
        assert "inzwischen mit diesem hier zusammengelegt" in answer.text
        assert "Flur 1, Bernburg (Parkstraße)</h1>" in answer.text
    assert corridor.incident.status is Status.OPEN
    assert corridor.incident.event_ids == ("corridor", "press-1")
    assert 'name="about" value="corridor"' in (await room.look()).text
    await room.follow(**stale[0], about="corridor")
    assert corridor.incident.closing is not None


async def test_of_two_people_who_join_at_once_the_second_is_told(two: tuple[Visit, Visit]) -> None:
    room, corridor = two
    await room.send(**JOIN)
    answer = await corridor.send(action="join", into=room.incident_id, **WHO)
    assert "inzwischen mit einem anderen zusammengelegt" in answer.text


async def test_splitting_a_report_off(visit: Visit) -> None:
    assert 'value="split"' not in (await visit.look()).text, "nothing to split"
    merged(visit, "form", description="Ganz anderer Streit, am Empfang")
    page = (await visit.look()).text
    assert 'name="reports" value="form"' in page
    assert "09:14 Uhr, Formular, Zimmer 112, 1. OG links, Bernburg (Parkstraße), Ganz anderer Streit" in page
    assert 'name="reports" value="press-1"' not in page
    after = await visit.follow(action="split", reports="form", **WHO)
    new = visit.desk.incidents.known["form"]
    assert f"Abgetrennt: Vorgang {new.code} ist jetzt eine eigene Sache" in after
    assert "Ganz anderer Streit" not in after
    assert 'href="../incidents/form"' in after
    there = (await visit.client.get("/incidents/form")).text
    assert f"Abgetrennt von Vorgang {visit.incident.code}" in there
    assert visit.incident.event_ids == ("press-1",)


async def test_the_confirmation_claims_no_split_that_was_not(visit: Visit) -> None:
    assert 'role="status"' not in (await visit.look("?done=split")).text


async def test_a_joining_can_be_undone(two: tuple[Visit, Visit]) -> None:
    room, corridor = two
    await room.send(**JOIN)
    page = await corridor.follow(action="split", reports=room.incident_id, **WHO)
    assert "ist jetzt eine eigene Sache" in page
    assert room.incident.joined is None
    assert room.incident.status is Status.OPEN
    assert "Zimmer 112, 1. OG links, Bernburg (Parkstraße)</h1>" in (await room.look()).text


async def test_english(client: httpx.AsyncClient) -> None:
    room = visit_to(client, site="english", location="Room 4")
    visit_to(client, event_id="other", site="english", location="Room 5")
    assert "The same matter as another incident: join them" in (await room.look()).text
    page = await room.follow(action="join", into="other", name="A", reason="the same person")
    assert "The incident of your mail (Room 4, Hilltop" in page
    assert "Reason: the same person" in page
