"""What each fault does to the world, and how it ends."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.faults.chaos.schedule import Fault
from tests.faults.chaos.world import World
from tests.support.servers import KafkaServer, PostgresServer
from tests.support.service import Service
from tests.support.smtp_sink import SmtpSink


@dataclass(frozen=True, slots=True)
class Span:
    """When a fault really was, in `time.monotonic()`."""

    fault: Fault
    began_at: float
    ended_at: float


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
        world, relay = self.world, self.world.relay
        match fault.what:
            case "kill ingest":
                await self._kill(world.ingests[int(fault.which)], fault.seconds)
            case "kill alerting":
                await self._kill(world.alertings[int(fault.which)], fault.seconds)
            case "hang alerting":
                await self._hang(world.alertings[int(fault.which)], fault.seconds)
            case "restart Kafka" | "kill Kafka":
                await _without(world.kafka, fault)
            case "restart PostgreSQL" | "kill PostgreSQL":
                await _without(world.postgres, fault)
            case "cut" | "hang link":
                link = world.links[str(fault.which)]
                (link.cut if fault.what == "cut" else link.hang)()
                await asyncio.sleep(fault.seconds)
                link.heal()
            case "mail server defers":
                relay.answer_data("451 4.3.0 later", None)
                await _for(fault.seconds, relay)
            case "mail server drops after DATA":
                relay.misbehave("drop", None)
                await _for(fault.seconds, relay)
            case "mail server stalls":
                relay.misbehave("stall", None)
                await _for(fault.seconds, relay)
            case "mail server refuses everything":
                relay.answer_data("554 5.7.1 not today", None)
                await _for(fault.seconds, relay)
            case "mail server is away":
                await relay.stop()
                await asyncio.sleep(fault.seconds)
                await relay.start()

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


async def _for(seconds: float, relay: SmtpSink) -> None:
    await asyncio.sleep(seconds)
    relay.behave()


async def _without(server: KafkaServer | PostgresServer, fault: Fault) -> None:
    loop = asyncio.get_running_loop()
    await loop.run_in_executor(None, server.kill if fault.what.startswith("kill") else server.stop)
    await asyncio.sleep(fault.seconds)
    server.launch()
    await loop.run_in_executor(None, server.wait)
