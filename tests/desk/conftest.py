"""The desk over incidents in memory, reached over its real routes."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx
import pytest

from schemas.events import Event, Kind, Reported
from services.alerting.core.incident import Incident
from tests.core.made_up import PRESSED_AT, pressed, rules
from tests.desk.in_memory import Desk

MANAGER = "leitung.bernburg@example.org"
FOUR_MINUTES_LATER = PRESSED_AT + timedelta(minutes=4)


@dataclass
class Visit:
    """One recipient with the link from their mail."""

    desk: Desk
    client: httpx.AsyncClient
    incident_id: str
    link: str

    @property
    def incident(self) -> Incident:
        return self.desk.incidents.known[self.incident_id]

    def press_again(self) -> None:
        """Somebody presses in the same room, now."""
        data = Reported(kind=Kind.PANIC, site="bernburg", location="112", danger_level=2)
        event = Event(id="press-2", source="buttons", time=self.desk.now, data=data)
        self.desk.incidents.apply(self.incident_id, event, self.desk.now)

    async def look(self, query: str = "") -> httpx.Response:
        return await self.client.get(self.link + query)

    async def send(self, **fields: Any) -> httpx.Response:
        return await self.client.post(self.link, data=fields)

    async def follow(self, **fields: Any) -> str:
        """Send the form and return the page that the browser shows next."""
        answer = await self.send(**fields)
        assert answer.status_code == 303, answer.text
        target = httpx.URL(str(self.client.base_url)).join(self.link).join(answer.headers["location"])
        page = await self.client.get(target)
        assert page.status_code == 200
        return page.text


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    given = rules()
    desk = Desk(given, FOUR_MINUTES_LATER)
    transport = httpx.ASGITransport(desk.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://desk.example.org") as open_client:
        open_client.desk = desk  # type: ignore[attr-defined]  # lets `visit` reach the incidents behind it
        yield open_client


def visit_to(client: httpx.AsyncClient, **report: Any) -> Visit:
    desk: Desk = client.desk  # type: ignore[attr-defined]  # set by the fixture above
    incident = pressed(desk.rules, **report)
    desk.incidents.add(incident)
    return Visit(desk, client, incident.id, desk.link(incident, MANAGER))


@pytest.fixture
def visit(client: httpx.AsyncClient) -> Visit:
    return visit_to(client, description="Kunde schreit.\nWirft Stühle.", reported_by="C. Kollegin")
