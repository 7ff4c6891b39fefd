"""Ingest as a client of a real MQTT broker, with a real Kafka behind it."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiomqtt
import pytest
from prometheus_client import REGISTRY

from schemas.events import Event, Reported
from services.common.configuration.file import load
from services.ingest.api.problems import Refusal
from services.ingest.instance import Instance
from services.ingest.sender import Sender, senders
from services.ingest.sources.shape import Message
from services.ingest.subscriptions import Subscriptions
from tests.conftest import StartService
from tests.ingest.reading import events_on
from tests.support.broker import Broker
from tests.support.chain import Surroundings
from tests.support.organisation import write_configuration
from tests.support.service import Service
from tests.support.waiting import eventually


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    directory = tmp_path / "broker"
    directory.mkdir()
    broker = Broker(directory)
    broker.start()
    yield broker
    broker.stop()


def configured(tmp_path: Path, broker: Broker, kind: str = "panic") -> Path:
    def add(content: dict[str, Any]) -> None:
        content["sources"]["zigbee"] = {
            "type": "mqtt", "kind": kind, "url": f"mqtt://127.0.0.1:{broker.port}",
            "topics": [{"filter": "zigbee2mqtt/+", "preset": "zigbee2mqtt"}],
            "devices": {f"btn-{n}": {"site": "bernburg", "location": f"Zimmer {n}"} for n in range(10)},
        }  # fmt: skip

    return write_configuration(tmp_path / "config.yaml", add)


@pytest.fixture
def configuration(tmp_path: Path, broker: Broker) -> Path:
    return configured(tmp_path, broker)


async def send(broker: Broker, number: int, action: str = "single", *, retain: bool = False) -> None:
    async with aiomqtt.Client("127.0.0.1", broker.port) as client:
        await client.publish(f"zigbee2mqtt/btn-{number}", json.dumps({"action": action}), qos=1, retain=retain)


async def pressed(around: Surroundings) -> list[str]:
    """The rooms of which a press is on Kafka; each once, because all of it is at least once."""
    events: list[Event] = await events_on(around.kafka, around.topic_prefix)
    return sorted({e.data.location or "" for e in events if isinstance(e.data, Reported)})


async def rooms(around: Surroundings, *numbers: int) -> None:
    wanted = [f"Zimmer {number}" for number in numbers]
    await eventually(lambda: pressed(around), lambda found: found == wanted)


async def test_a_press_reaches_kafka_and_a_retained_one_does_not(
    broker: Broker, start_ingest: StartService, surroundings: Surroundings
) -> None:
    await send(broker, 1, retain=True)
    ingest = await start_ingest()
    await ingest.wait_for_event("mqtt.connected")
    await send(broker, 2)
    await send(broker, 3, "release")
    await send(broker, 4)
    await rooms(surroundings, 2, 4)


async def test_a_message_that_meets_a_bug_holds_up_no_other(
    tmp_path: Path, broker: Broker, configuration: Path
) -> None:
    taken: list[str] = []

    async def receive(message: Message, _: Sender) -> None:
        if message.rest.endswith("btn-1"):
            raise ValueError("a bug")
        taken.append(message.rest)

    subscriptions = Subscriptions(senders(load(configuration)), receive, Instance(tmp_path / "journal"))
    subscriptions.start()

    async def arrived(number: int) -> bool:
        await send(broker, number)
        return f"zigbee2mqtt/btn-{number}" in taken

    await eventually(lambda: arrived(2), bool)  # the subscription stands
    await send(broker, 1)
    await eventually(lambda: arrived(3), bool)
    await subscriptions.stop()
    assert "zigbee2mqtt/btn-1" not in taken


@pytest.mark.parametrize(("kind", "expected"), [("form", [1, 1, 2]), ("panic", [1, 2])])
async def test_over_the_limit_the_broker_keeps_what_is_no_press(
    broker: Broker, tmp_path: Path, kind: str, expected: list[int]
) -> None:
    """Of a source of presses nothing is waited for: one may stand behind it."""
    subscribed, offered = False, list[int]()

    async def receive(message: Message, _: Sender) -> None:
        nonlocal subscribed
        number = int(message.rest[-1])
        subscribed = subscribed or number == 0
        if number:
            offered.append(number)
        if offered == [1]:
            raise Refusal(429, "too much", headers={"Retry-After": "1"})

    subscriptions = Subscriptions(
        senders(load(configured(tmp_path, broker, kind))), receive, Instance(tmp_path / "journal")
    )
    subscriptions.start()

    async def stands() -> bool:
        await send(broker, 0)
        return subscribed

    async def seen() -> list[int]:
        return offered

    await eventually(stands, bool)
    await send(broker, 1)
    await send(broker, 2)
    await eventually(seen, lambda found: 2 in found)
    await subscriptions.stop()
    assert offered == expected


async def test_what_came_while_ingest_was_away_comes_when_it_is_back(
    broker: Broker, start_ingest: StartService, surroundings: Surroundings
) -> None:
    ingest: Service = await start_ingest()
    await ingest.wait_for_event("mqtt.connected")
    ingest.kill()
    kept = list(surroundings.directory.glob("journal-*.sqlite3.instance"))
    assert [file.stat().st_mode & 0o777 for file in kept] == [0o600]
    await send(broker, 1)
    await ingest.start()
    await send(broker, 2)
    await rooms(surroundings, 1, 2)


async def test_a_broker_that_goes_is_waited_for(
    broker: Broker, start_ingest: StartService, surroundings: Surroundings
) -> None:
    ingest = await start_ingest()
    await ingest.wait_for_event("mqtt.connected")
    broker.stop()
    await ingest.wait_for_event("mqtt.unreachable", source="zigbee")
    away = await ingest.wait_for_readiness("degraded")  # one source that is away holds up no other
    assert list(away) == ["mqtt zigbee"]
    assert "the broker does not let us listen (for " in away["mqtt zigbee"]
    broker.start()
    await ingest.wait_for_event("mqtt.recovered", source="zigbee")
    await ingest.wait_ready()
    await send(broker, 5)
    await rooms(surroundings, 5)
    assert ingest.stray_lines == []


async def test_a_source_that_was_changed_is_connected_and_known_to_be(
    tmp_path: Path, broker: Broker, configuration: Path
) -> None:
    """The connection of before ends meanwhile: that is no reason to call the source away."""

    async def receive(message: Message, _: Sender) -> None:
        raise AssertionError(f"nothing was sent, but {message.rest} came")

    async def state() -> tuple[bool, float | None]:
        connected = REGISTRY.get_sample_value("rufkette_ingest_mqtt_connected", {"source": "zigbee"})
        return bool(subscriptions.problems), connected

    subscriptions = Subscriptions(senders(load(configuration)), receive, Instance(tmp_path / "journal"))
    subscriptions.start()
    try:
        assert list(subscriptions.problems) == ["mqtt zigbee"]
        await eventually(state, lambda found: found == (False, 1.0))
        for number in range(5):
            changed = senders(load(configuration))
            changed["zigbee"].secret = str(number).encode()
            subscriptions.take(changed)
            await eventually(state, lambda found: found == (False, 1.0))
            await asyncio.sleep(0.1)
            assert await state() == (False, 1.0)
        subscriptions.take({})
        await eventually(state, lambda found: found == (False, 0.0))
    finally:
        await subscriptions.stop()
