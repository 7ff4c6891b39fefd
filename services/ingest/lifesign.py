"""The sign of life: a probe goes the whole way of an alarm, and somebody outside hears of it when it came back.

Through Kafka, alerting, its database and the mail server's acceptance of an emergency contact, and back over the
lifecycle. Whoever is called (`LIFESIGN_URL`) notices when the calls stop: also when this whole machine is gone.
"""

import asyncio
import time
import uuid
from datetime import UTC, datetime
from typing import Final

import httpx
import structlog

from schemas import codec
from schemas.events import Event, Probe
from services.common.settings import IngestSettings
from services.ingest.journal.ledger import Ledger
from services.ingest.kafka_lanes import Undelivered
from services.ingest.kafka_writer import KafkaWriter
from services.ingest.loops import end_process_on_bug
from services.ingest.metrics import LIFESIGN

log = structlog.get_logger()

SOURCE: Final = "lifesign"
_CALL_WITHIN: Final = 10.0
_FIRST_AFTER: Final = 10.0
"""Both services start together: what is missing in the first seconds is nobody's concern."""
_BACK_WITHIN: Final = 0.8
"""Of the time between two probes."""


class Lifesign:
    """Probes only where somebody is to be called. `returned` is told of each probe that came back."""

    def __init__(self, settings: IngestSettings, writer: KafkaWriter, ledger: Ledger) -> None:
        self._url = settings.lifesign_url
        self._every = settings.lifesign_every
        self._writer = writer
        self._ledger = ledger
        self._awaited: str | None = None
        self._came_back = asyncio.Event()
        self._missing_since: float | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to probe, if somebody is to be called; returns at once."""
        if self._url is not None:
            self._task = asyncio.create_task(self._run(self._url.get_secret_value()), name="lifesign")
            self._task.add_done_callback(end_process_on_bug)

    async def stop(self) -> None:
        """Stop."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task], timeout=3)

    def returned(self, event_id: str) -> None:
        """A probe came back; those of other processes, and late ones, count for nothing."""
        if event_id == self._awaited:
            self._came_back.set()

    async def _run(self, url: str) -> None:
        # Redirects are not followed: a page that says "log in" is no monitor that has heard us.
        async with httpx.AsyncClient(timeout=_CALL_WITHIN, follow_redirects=False) as client:
            await asyncio.sleep(min(self._every, _FIRST_AFTER))
            while True:
                began = time.monotonic()
                if await self._whole_chain_works():
                    await self._call(client, url)
                await asyncio.sleep(max(0.0, began + self._every - time.monotonic()))

    async def _whole_chain_works(self) -> bool:
        self._came_back.clear()
        self._awaited = str(uuid.uuid4())
        event = Event(id=self._awaited, source=SOURCE, time=datetime.now(UTC), data=Probe())
        problem = self._ledger.problem
        if problem is None:
            try:
                # Past the journal: a probe that waits for an outage to end would tell of the past.
                await self._writer.send(codec.encode(event))
                async with asyncio.timeout(self._every * _BACK_WITHIN):
                    await self._came_back.wait()
            except (Undelivered, TimeoutError) as error:
                problem = type(error).__name__
        self._say(missing=problem is not None)
        return problem is None

    def _say(self, *, missing: bool) -> None:
        LIFESIGN.set(0 if missing else 1)
        if missing and self._missing_since is None:
            self._missing_since = time.monotonic()
            log.error("probe.missing")
        elif not missing and self._missing_since is not None:
            log.info("probe.returned", after_s=round(time.monotonic() - self._missing_since, 1))
            self._missing_since = None

    async def _call(self, client: httpx.AsyncClient, url: str) -> None:
        try:
            answer = await client.get(url)
            code: int | None = answer.status_code
        except httpx.HTTPError:
            code = None
        if code is None or code >= 300:
            log.warning("lifesign.unheard", code=code)
