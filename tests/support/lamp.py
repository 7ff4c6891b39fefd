"""What an MQTT broker is told, heard by a client that comes back as often as the broker does."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

import aiomqtt

from tests.support.broker import Broker
from tests.support.waiting import eventually


@dataclass(frozen=True, slots=True)
class Heard:
    topic: str
    payload: str
    qos: int


@dataclass(slots=True)
class Lamp:
    """Everything below a topic, in its order; its session outlives the broker's absence."""

    port: int
    topics: str
    heard: list[Heard] = field(default_factory=list)
    listening: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        while True:
            with suppress(aiomqtt.MqttError):
                async with aiomqtt.Client("127.0.0.1", self.port, identifier="lamp", clean_session=False) as client:
                    await client.subscribe(self.topics, qos=1)
                    self.listening.set()
                    async for message in client.messages:
                        assert isinstance(message.payload, bytes)
                        self.heard.append(Heard(message.topic.value, message.payload.decode(), message.qos))
            await asyncio.sleep(0.05)  # the broker is away: it is asked again until it is back

    async def wait_for(self, count: int, *, within: float = 30.0) -> list[Heard]:
        async def found() -> list[Heard]:
            return self.heard

        return await eventually(found, lambda heard: len(heard) >= count, within=within)


@asynccontextmanager
async def lamp_at(broker: Broker, topics: str) -> AsyncIterator[Lamp]:
    """A lamp that listens."""
    lamp = Lamp(broker.port, topics)
    task = asyncio.create_task(lamp.run())
    try:
        async with asyncio.timeout(10):
            await lamp.listening.wait()
        yield lamp
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
