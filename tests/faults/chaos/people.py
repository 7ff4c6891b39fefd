"""People who read their mails and answer: take over, say that they called the police, close; some lose the answer."""

import asyncio
import itertools
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlsplit

import httpx

from tests.faults.chaos.history import Act
from tests.faults.chaos.world import World
from tests.support.mails import link_in, named
from tests.support.smtp_sink import Received

_LOOK_EVERY = 0.1
_SHARE = 0.4
"""Of the alarms (each cycle of an incident is one) that somebody answers."""
_GO_AWAY = 0.15
"""Of the answers that nobody waits for: whether they count is for the database to say."""


@dataclass(slots=True)
class People:
    """`acts` is what they did, and whether a page said that it was done."""

    world: World
    chance: random.Random
    acts: list[Act] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=itertools.count)
    """Each act is somebody's of its own, so that it can be found in the timeline."""

    async def read(self, enough: asyncio.Event) -> None:
        """Read the mails until it is enough; returns when everybody has done what they wanted."""
        seen: set[tuple[str, str]] = set()
        read = 0
        async with httpx.AsyncClient() as browser, asyncio.TaskGroup() as acting:
            while not enough.is_set():
                mails = self.world.accepted
                for mail in mails[max(0, read - 200) :]:  # two servers' mails may come a little out of order
                    alarm = named(mail).incident_id, named(mail).step.split("-")[1] if "-" in named(mail).step else ""
                    if named(mail).purpose == "alarm" and alarm not in seen:
                        seen.add(alarm)
                        if self.chance.random() < _SHARE:
                            acting.create_task(self._answer(browser, mail, self.chance.uniform(0, 8)))
                read = len(mails)
                await asyncio.sleep(_LOOK_EVERY)

    async def _answer(self, browser: httpx.AsyncClient, mail: Received, after: float) -> None:
        await asyncio.sleep(after)
        actions = ["acknowledge", "acknowledge", "acknowledge", "close"]
        if "PROBE" not in mail.subject and "EXERCISE" not in mail.subject:
            actions.append("acknowledge_and_called")
        action = self.chance.choice(actions)
        await self._act(browser, mail, action)
        if action != "close" and self.chance.random() < 0.4:
            await asyncio.sleep(self.chance.uniform(0.5, 6))
            await self._act(browser, mail, "close")

    async def _act(self, browser: httpx.AsyncClient, mail: Received, action: str) -> None:
        path = urlsplit(link_in(mail)).path
        by = f"A. Muster {next(self._numbers)}"
        fields = {"name": by, "action": action} | ({"outcome": "resolved"} if action == "close" else {})
        impatient = self.chance.random() < _GO_AWAY
        desks = list(self.world.alertings)
        self.chance.shuffle(desks)
        for attempt in range(1 if impatient else 20):
            url, patience = f"{desks[attempt % 2].url}{path}", 0.02 if impatient else 8
            try:
                page = await browser.post(url, data=fields, timeout=patience)
            except httpx.TransportError:
                page = None
            if page is not None and page.status_code in (200, 303):  # 200 is the form again: something is missing
                said = parse_qs(urlsplit(page.headers.get("Location", "")).query).get("done", [""])[0]
                self.acts.append(Act(named(mail).incident_id, action, by, time.monotonic(), said))
                return
            await asyncio.sleep(0.5)
        self.acts.append(Act(named(mail).incident_id, action, by, None))
