"""What each fault does to the world, and how it ends."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from schemas import topics
from tests.faults.chaos.load import SITES
from tests.faults.chaos.schedule import Fault, Span
from tests.faults.chaos.world import World
from tests.support.records import recreate
from tests.support.servers import KafkaServer, PostgresServer
from tests.support.service import Service
from tests.support.smtp_sink import SmtpSink

_REFUSED: Final = ("vertretung", "wache")
"""Mailboxes of every site that a server refuses when it "refuses some": somebody else is told in the same step, or was
told in the one before, so that nobody but the watch could have been the first to hear.
"""
_LATENCY = 0.25
"""Seconds that each piece takes over a slow link, in each direction."""


@dataclass(slots=True)
class Faults:
    """Brings a schedule over the world. Two faults of the same thing never overlap: the second waits."""

    world: World
    spans: list[Span] = field(default_factory=list)
    _locks: dict[str, asyncio.Lock] = field(default_factory=dict)

    async def run(self, faults: Sequence[Fault]) -> None:
        """Everything of the schedule; at the end all is healed."""
        started = time.monotonic()
        running: list[asyncio.Task[None]] = []
        for fault in faults:
            await asyncio.sleep(max(0.0, started + fault.at - time.monotonic()))
            running.append(asyncio.create_task(self._happen(fault)))
        await asyncio.gather(*running)

    async def _happen(self, fault: Fault) -> None:
        async with self._locks.setdefault(fault.victim, asyncio.Lock()):
            began_at = time.monotonic()
            await self._do(fault)
            self.spans.append(Span(fault, began_at, time.monotonic()))

    async def _do(self, fault: Fault) -> None:
        world = self.world
        match fault.what:
            case "kill ingest":
                await self._kill(world.ingests[int(fault.which)], fault.seconds)
            case "kill alerting":
                await self._kill(world.alertings[int(fault.which)], fault.seconds)
            case "hang ingest":
                await self._hang(world.ingests[int(fault.which)], fault.seconds)
            case "hang alerting":
                await self._hang(world.alertings[int(fault.which)], fault.seconds)
            case "restart Kafka" | "kill Kafka":
                await _without(world.kafka, fault)
            case "empty topic of Kafka":
                await recreate(world.around, topics.EVENTS)
            case "restart PostgreSQL" | "kill PostgreSQL":
                await _without(world.postgres, fault)
            case "cut" | "hang link" | "slow link":
                await self._on_a_link(fault)
            case "disk is away from ingest":
                await self._without_disk(int(fault.which), fault.seconds)
            case _:
                await _misbehaving(world.relay if fault.which == "normal" else world.fallback, fault)

    async def _kill(self, service: Service, seconds: float) -> None:
        self.world.down_on_purpose.add(service.port)
        service.kill()
        await asyncio.sleep(seconds)
        if not service.running:
            service.spawn()
        self.world.down_on_purpose.discard(service.port)

    async def _hang(self, service: Service, seconds: float) -> None:
        if not service.running:
            return
        service.pause()
        await asyncio.sleep(seconds)
        if service.running:
            service.resume()

    async def _on_a_link(self, fault: Fault) -> None:
        link = self.world.links[str(fault.which)]
        match fault.what:
            case "cut":
                link.cut()
            case "hang link":
                link.hang()
            case _:
                link.delay = _LATENCY
        await asyncio.sleep(fault.seconds)
        link.heal()

    async def _without_disk(self, number: int, seconds: float) -> None:
        """The journal's directory is none any more, as where a file system was unmounted."""
        disk = self.world.disk(number)
        there = disk.readlink()
        _point(disk, "/dev/null")
        await asyncio.sleep(seconds)
        _point(disk, there)


def _point(link: Path, target: Path | str) -> None:
    """In one step, so that nobody can make a directory in between."""
    new = link.with_name(f"{link.name}.new")
    new.symlink_to(target)
    new.replace(link)


async def _misbehaving(server: SmtpSink, fault: Fault) -> None:
    match fault.what:
        case "mail server defers":
            server.answer_data("451 4.3.0 later", None)
        case "mail server drops after DATA":
            server.misbehave("drop", None)
        case "mail server lies":
            server.lie(None)
        case "mail server stalls":
            server.misbehave("stall", None)
        case "mail server refuses everything":
            server.answer_data("554 5.7.1 not today", None)
        case "mail server refuses some":
            for mailbox in _REFUSED:
                for site in SITES:
                    server.refuse_recipient(f"{mailbox}.{site}@example.org")
        case "mail server refuses us":
            server.answer("MAIL", "550 5.7.1 not you")
        case "mail server greets with an error":
            server.answer("CONNECT", "421 4.3.2 not now")
        case _:
            await server.stop()
    await asyncio.sleep(fault.seconds)
    server.behave()
    if fault.what == "mail server is away":
        await server.start()


async def _without(server: KafkaServer | PostgresServer, fault: Fault) -> None:
    loop = asyncio.get_running_loop()
    await loop.run_in_executor(None, server.kill if fault.what.startswith("kill") else server.stop)
    await asyncio.sleep(fault.seconds)
    server.launch()
    await loop.run_in_executor(None, server.wait)
