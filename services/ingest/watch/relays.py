"""Looks whether the mail servers that the watch would use let us in: nobody shall learn it from an alarm."""

import asyncio
from typing import Final

from pydantic import SecretStr

from services.common.loops import Pulses, beat
from services.common.mail.lane import Lane, Via
from services.common.mail.smtp import parse_smtp_url
from services.common.settings import IngestSettings
from services.ingest.loops import begin

_LOOK_EVERY: Final = 0.5


class Relays:
    """Greets each of them once a minute, and every two seconds while it is away; log and metrics tell."""

    def __init__(self, settings: IngestSettings) -> None:
        urls: dict[Via, SecretStr | None] = {"normal": settings.smtp_url, "fallback": settings.smtp_fallback_url}
        self._lanes = [
            Lane(via, parse_smtp_url(url.get_secret_value())) for via, url in urls.items() if url is not None
        ]
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, pulses: Pulses | None = None) -> None:
        """Begin to look; returns at once."""
        self._tasks = [begin(f"looking at a mail server: {lane.via}", _watch(lane), pulses) for lane in self._lanes]

    async def stop(self) -> None:
        """Look no longer."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=1)


async def _watch(lane: Lane) -> None:
    while True:
        beat()
        if lane.due_for_probe(in_doubt=False):
            await lane.greet()
        await asyncio.sleep(_LOOK_EVERY)
