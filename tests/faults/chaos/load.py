"""Presses that stream in and people who answer: what was promised to whom, and when."""

import asyncio
import random
import time
import uuid
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httpx

from tests.faults.chaos.world import World
from tests.support.mails import link_in, named
from tests.support.organisation import KEYS
from tests.support.smtp_sink import Received

SITES = ("bernburg", "stassfurt", "english")
_GIVE_UP_AFTER = 90.0
_LOOK_EVERY = 0.1


@dataclass(frozen=True, slots=True)
class Pressed:
    """A press that was answered 202, in a room of its own: by the room's name every mail about it is known."""

    event_id: str
    room: str
    status: str
    at: float
    """`time.monotonic()` of the answer."""


@dataclass(slots=True)
class Load:
    """`taken_over` are the incidents that a person took over, with the time of the page that said so."""

    world: World
    chance: random.Random
    pressed: list[Pressed] = field(default_factory=list)
    taken_over: dict[str, float] = field(default_factory=dict)
    repeated: int = 0
    """Attempts to report that were not answered 202, and were made again."""

    async def press(self, seconds: float, *, apart: float) -> None:
        """Presses for so many seconds, on average `apart` seconds between them; returns when all are answered."""
        headers = {"Authorization": f"Bearer {KEYS['buttons']}"}
        async with httpx.AsyncClient(timeout=5, headers=headers) as client:
            until = time.monotonic() + seconds
            presses = []
            while time.monotonic() < until:
                presses.append(asyncio.create_task(self._press(client)))
                await asyncio.sleep(self.chance.uniform(0, 2 * apart))
            await asyncio.gather(*presses)

    async def _press(self, client: httpx.AsyncClient) -> None:
        name = uuid.UUID(int=self.chance.getrandbits(128)).hex[:12]
        body = {"id": name, "site": self.chance.choice(SITES), "location": f"Raum {name}", "danger_level": 2}
        ingests = list(self.world.ingests)
        self.chance.shuffle(ingests)
        async with asyncio.timeout(_GIVE_UP_AFTER):
            for attempt in range(10_000):
                try:
                    answer = await client.post(f"{ingests[attempt % 2].url}/v1/incidents", json=body)
                except httpx.TransportError:
                    answer = None
                if answer is not None and answer.status_code == 202:
                    said = answer.json()
                    self.pressed.append(Pressed(said["event_id"], f"Raum {name}", said["status"], time.monotonic()))
                    return
                assert answer is None or answer.status_code == 503, answer.text
                self.repeated += 1
                await asyncio.sleep(0.1)  # as a gateway between two tries

    async def people(self, share: float) -> None:
        """Read the mails for ever; take over this share of the incidents, each some time after its mail."""
        seen: set[str] = set()
        async with asyncio.TaskGroup() as acting:
            while True:
                for mail in self.world.accepted:
                    incident_id = named(mail).incident_id
                    if named(mail).purpose == "alarm" and incident_id not in seen:
                        seen.add(incident_id)
                        if self.chance.random() < share:
                            acting.create_task(self._take_over(mail, self.chance.uniform(0, 8)))
                await asyncio.sleep(_LOOK_EVERY)

    async def _take_over(self, mail: Received, after: float) -> None:
        await asyncio.sleep(after)
        path = urlsplit(link_in(mail)).path
        async with httpx.AsyncClient(timeout=8, follow_redirects=True) as browser:
            for attempt in range(20):
                desk = self.world.alertings[attempt % 2]
                try:
                    page = await browser.post(f"{desk.url}{path}", data={"name": "A. Muster", "action": "acknowledge"})
                except httpx.TransportError:
                    page = None
                if page is not None and page.status_code == 200:
                    self.taken_over[named(mail).incident_id] = time.monotonic()
                    return
                await asyncio.sleep(0.5)
