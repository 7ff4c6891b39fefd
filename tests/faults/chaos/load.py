"""Reports that stream in, of every kind, at both ingests; each is sent again until it is answered."""

import asyncio
import itertools
import random
import time
import uuid
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import httpx

from schemas.events import Kind, Mode
from tests.faults.chaos.history import Report
from tests.faults.chaos.world import World
from tests.support.organisation import KEYS

What = Literal["press", "press again", "weapon", "form", "exercise"]

SITES: Final = ("bernburg", "stassfurt", "english")
SPELLINGS: Final = ("Raum", "Zimmer", "Zi.", "Büro", "Rm.", "ZIMMER", "raum", "Zi")
"""Of one room: what they name is the same place, and each report of a room has a spelling of its own."""
_WEIGHTS: Final[dict[What, int]] = {"press": 5, "press again": 3, "weapon": 1, "form": 2, "exercise": 1}
_RECENT: Final = 12
"""So many rooms are remembered for presses that come again."""
_GIVE_UP_AFTER = 90.0
_AGAIN: Final = 0.1
"""Of the reports that are sent once more although they were answered."""


@dataclass(slots=True)
class _Room:
    site: str
    name: str
    spelt: int = 0

    def said(self) -> str:
        """The room in the next spelling."""
        self.spelt += 1
        return f"{SPELLINGS[self.spelt - 1]} {self.name}"


@dataclass(slots=True)
class Load:
    """`reports` are those that were answered 202. How often each kind comes is the seed's."""

    world: World
    chance: random.Random
    reports: list[Report] = field(default_factory=list)
    repeated: int = 0
    """Attempts to report that were not answered 202, and were made again."""
    _rooms: list[_Room] = field(default_factory=list)
    _weights: dict[What, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._weights = {what: weight * self.chance.uniform(0.3, 2) for what, weight in _WEIGHTS.items()}

    async def report(self, until: asyncio.Event, *, apart: float) -> None:
        """Reports until it is enough, on average `apart` seconds between them; returns when all are answered."""
        async with httpx.AsyncClient(timeout=5) as client, asyncio.TaskGroup() as reporting:
            while not until.is_set():
                (what,) = self.chance.choices(list(self._weights), list(self._weights.values()))
                source, body = self._made_up(what)
                ingests = [0, 1]
                self.chance.shuffle(ingests)
                again = self.chance.uniform(0, 3) if self.chance.random() < _AGAIN else None
                reporting.create_task(self._send(client, source, body, ingests, again))
                await asyncio.sleep(self.chance.uniform(0, 2 * apart))

    def _made_up(self, what: What) -> tuple[str, dict[str, Any]]:
        room = _Room(self.chance.choice(SITES), uuid.UUID(int=self.chance.getrandbits(128)).hex[:12])
        body: dict[str, Any] = {"danger_level": 2}
        match what:
            case "press again" if self._rooms:
                room = self.chance.choice(self._rooms)
                body = {"danger_level": self.chance.choice((None, 1, 2, 3))}
                if self.chance.random() < 0.2:
                    body["mode"] = "exercise"
            case "weapon":
                body = {"danger_level": 3, "police": "wanted"}
            case "form":
                body = {"danger_level": self.chance.choice((0, 1)), "acute": self.chance.random() < 0.7}
            case "exercise":
                body["mode"] = "exercise"
        name = uuid.UUID(int=self.chance.getrandbits(128)).hex
        body |= {"id": name, "site": room.site, "location": room.said()}
        if room not in self._rooms:
            self._rooms.append(room)
        self._rooms = [room for room in self._rooms if room.spelt < len(SPELLINGS)][-_RECENT:]
        return "forms" if what == "form" else "buttons", {k: v for k, v in body.items() if v is not None}

    async def _send(
        self, client: httpx.AsyncClient, source: str, body: dict[str, Any], ingests: list[int], again: float | None
    ) -> None:
        """One report; `again`: so many seconds after its answer it is sent once more, to the other ingest."""
        began_at = time.monotonic()
        said = await self._until_answered(client, source, body, ingests)
        self.reports.append(_answered(source, body, said, began_at))
        if again is not None:
            await asyncio.sleep(again)
            repeated = await self._until_answered(client, source, body, ingests[::-1])
            assert repeated["event_id"] == said["event_id"]

    async def _until_answered(
        self, client: httpx.AsyncClient, source: str, body: dict[str, Any], ingests: list[int]
    ) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {KEYS[source]}"}
        async with asyncio.timeout(_GIVE_UP_AFTER):
            for attempt in itertools.count():
                url = f"{self.world.ingests[ingests[attempt % 2]].url}/v1/incidents"
                try:
                    answer = await client.post(url, json=body, headers=headers)
                except httpx.TransportError:
                    answer = None
                if answer is not None and answer.status_code == 202:
                    return dict(answer.json())
                assert answer is None or answer.status_code == 503, answer.text
                self.repeated += 1
                await asyncio.sleep(0.1)  # as a gateway between two tries
        raise AssertionError("answered, or the time is over")


def _answered(source: str, body: dict[str, Any], said: dict[str, Any], began_at: float) -> Report:
    return Report(
        event_id=said["event_id"],
        site=body["site"],
        said=body["location"],
        mode=Mode(body.get("mode", "actual")),
        kind=Kind.FORM if source == "forms" else Kind.PANIC,
        level=body.get("danger_level"),
        began_at=began_at,
        at=time.monotonic(),
        status=said["status"],
        source=source,
    )
