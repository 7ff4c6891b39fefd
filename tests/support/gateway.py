"""A button gateway: it sends each press again, under the same id, until it is answered 202."""

import asyncio
import random
import uuid
from dataclasses import dataclass, field

import httpx

from tests.support.chain import Chain
from tests.support.organisation import KEYS

SITES = ("bernburg", "stassfurt", "english")
_GIVE_UP_AFTER = 40.0


@dataclass(slots=True)
class Gateway:
    """`answered` are the event ids that were answered 202; `failed` counts attempts that were not."""

    chain: Chain
    answered: list[str] = field(default_factory=list)
    failed: int = 0

    async def stream(self, count: int, chance: random.Random, *, apart: float) -> list[str]:
        """`count` presses, on average `apart` seconds between them; returns when all are answered."""
        headers = {"Authorization": f"Bearer {KEYS['buttons']}"}
        async with httpx.AsyncClient(base_url=self.chain.ingest.url, timeout=5, headers=headers) as client:
            presses = []
            for _ in range(count):
                presses.append(asyncio.create_task(self._press(client)))
                await asyncio.sleep(chance.uniform(0, 2 * apart))
            return await asyncio.gather(*presses)

    async def _press(self, client: httpx.AsyncClient) -> str:
        """One press in a room of its own; returns when it is answered 202."""
        name = uuid.uuid4().hex[:10]
        site = SITES[int(name, 16) % len(SITES)]
        body = {"id": name, "site": site, "location": f"Raum {name}", "danger_level": 2}
        async with asyncio.timeout(_GIVE_UP_AFTER):
            while True:
                try:
                    answer = await client.post("/v1/incidents", json=body)
                except httpx.TransportError:
                    answer = None
                if answer is not None and answer.status_code == 202:
                    self.answered.append(str(answer.json()["event_id"]))
                    return self.answered[-1]
                assert answer is None or answer.status_code == 503, answer.text
                self.failed += 1
                await asyncio.sleep(0.1)  # as a gateway between two tries
